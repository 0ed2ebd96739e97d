"""A world's story: a shop uploads photos through a storm, its operator acts, the storm ends, and all comes to rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Final

from tests.simulation.pictures import photo
from tests.simulation.world import DAY, PRICE, World, dumps

KEYS: Final = (
    "shop/x.jpg",
    "shop/x.png",
    "shop/x.jpg.webp",
    "über uns/Schuh 1+2 &.jpg",
    "a.jpg",
    "b/" + "long/" * 200 + "c.jpg",
    "d.png",
    "e.jpg",
    "f.jpg",
)
REST_DAYS: Final = 9


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one world went."""

    seed: int
    broken: tuple[tuple[str, str], ...]
    seen: Counter[str]
    story: tuple[str, ...]
    runs: int
    uploads: int


def play(seed: int, *, story: bool = False) -> Verdict:
    """One whole world."""
    world = World(seed, story=story)
    Storyteller(world).run()
    return Verdict(
        seed,
        tuple(world.audit.broken),
        world.storm.seen,
        tuple(world.story or ()),
        len(world.runflow.runs),
        len(world.audit.names),
    )


class Storyteller:
    """Draws what the shop, its operator and strangers do."""

    def __init__(self, world: World) -> None:
        self.world, self.random = world, world.random
        self.length = self.random.uniform(1.0, 5.0) * 3600

    def run(self) -> None:
        """From the first upload to the last check."""
        world = self.world
        self._settle_settings()
        self._uploads()
        self._operator()
        self._strangers()
        world.wake(world.time)
        world.at(world.started + self.length, self._calm)
        world.run_out(world.started + REST_DAYS * DAY)
        for _ in range(3):
            world.redrive_all()
            world.wake(world.time)
            world.run_out(world.time + REST_DAYS * DAY)
        world.audit.at_rest()
        if not world.audit.broken:
            self._repeat_everything()

    def _settle_settings(self) -> None:
        world, random = self.world, self.random
        world.run_timeout_hours = random.choice((2, 24))
        world.url_lifetime_minutes = random.choice((20, 60))
        world.max_attempts = random.choice((1, 3))
        slots = random.choice((None, None, 4, 8, 15, 2000))
        world.limit = None if slots is None else PRICE * slots
        world.set_limit(world.limit)

    # The shop

    def _uploads(self) -> None:
        random, world = self.random, self.world
        world.uploads.window = random.choice((0.0, 2.0, 10.0))
        left = random.randint(20, 26)
        while left:
            at = world.started + self.length * random.uniform(0.0, 0.85)
            together = min(left, random.choice((1, 1, 5)))
            for _ in range(together):
                world.at(at + random.random(), partial(self._upload, random.choice(KEYS)))
            left -= together
        for _ in range(random.randint(0, 3)):
            at = world.started + self.length * random.uniform(0.0, 0.85)
            world.at(at, random.choice((self._not_an_image, self._empty, self._folder, self._cut, self._huge)))

    def _upload(self, key: str) -> None:
        world = self.world
        content_type = "image/png" if key.endswith(".png") else "image/jpeg"
        name = f"p{next(world.numbers)}"
        if any(upload.key == key for upload in world.uploaded):
            world.storm.happens("upload overwritten")
        upload = world.upload(key, photo(name, content_type), {"shop": "north"})
        if world.storm.strikes("upload deleted"):
            world.after(
                self.random.choice((0.1, 5.0, 1200.0)), lambda: world.photos.delete("in", key, upload.version_id)
            )
        if world.storm.strikes("upload overwritten soon"):
            world.after(self.random.choice((2.0, 10.0, 30.0)), lambda: self._upload(key))

    def _not_an_image(self) -> None:
        self.world.storm.happens("upload is no photo")
        self.world.upload("notes.txt", b"just words, no photo")

    def _empty(self) -> None:
        self.world.storm.happens("upload is no photo")
        self.world.upload("empty.jpg", b"")

    def _folder(self) -> None:
        self.world.storm.happens("upload is no photo")
        self.world.upload("folder/", b"")

    def _cut(self) -> None:
        self.world.storm.happens("upload is no photo")
        self.world.upload("cut.jpg", photo("cut", "image/jpeg")[:-2])

    def _huge(self) -> None:
        self.world.storm.happens("upload is no photo")
        self.world.upload("huge.jpg", photo("huge", "image/jpeg"), size=60 * 1024 * 1024)

    # The operator

    def _operator(self) -> None:
        act, world = self._perhaps, self.world
        act(0.3, "secret rotated", self._rotate)
        act(0.15, "secret not set at first", lambda: None, self._no_secret)
        act(0.15, "key not set at first", lambda: None, self._no_key)
        act(0.25, "key revoked", self._revoke)
        act(0.25, "paused", self._pause)
        act(0.3, "cap lowered", lambda: self._limit(Decimal("0.14") * self.random.randint(0, 6)))
        act(0.4, "cap raised", lambda: self._limit(PRICE * self.random.randint(10, 30)))
        act(0.2, "cap lifted", lambda: self._limit(None))
        act(0.25, "credit runs out", self._spend)
        act(0.25, "Runflow down", self._down)
        for _ in range(3):
            world.at(world.started + self.length * self.random.uniform(0.05, 0.9), world.redrive_all)

    def _perhaps(
        self, chance: float, kind: str, later: Callable[[], None], at_once: Callable[[], None] | None = None
    ) -> None:
        if self.random.random() >= chance:
            return
        world = self.world

        def act() -> None:
            world.storm.happens(kind)
            world.tell("operator:", kind)
            (at_once or later)()

        if at_once:
            act()
        else:
            world.at(world.started + self.length * self.random.uniform(0.05, 0.9), act)

    def _rotate(self) -> None:
        world = self.world
        number = next(world.numbers)
        secret = f"whsec_{number}"
        world.all_secrets.append(secret)
        world.secrets.secrets = (secret, *world.secrets.secrets[:1])
        world.secrets_changed = world.time

        def promote() -> None:
            world.runflow.secret = secret

        def forget() -> None:
            world.secrets.secrets = world.secrets.secrets[:1]
            world.secrets_changed = world.time

        world.after(self.random.choice((0.0, 60.0)), promote)
        world.after(1800.0, forget)

    def _no_secret(self) -> None:
        world = self.world
        world.secrets.secrets = ()
        world.after(self.random.uniform(60, 3000), self._set_secret)

    def _set_secret(self) -> None:
        world = self.world
        if not world.secrets.secrets:
            world.secrets.secrets = (world.runflow.secret,)
            world.secrets_changed = world.time

    def _no_key(self) -> None:
        self.world.runflow.habits.configured = False
        self.world.after(self.random.uniform(60, 3000), self._set_key)

    def _set_key(self) -> None:
        self.world.runflow.habits.configured = True

    def _revoke(self) -> None:
        self.world.runflow.habits.key_good = False
        self.world.after(self.random.uniform(60, 5000), self._restore)

    def _restore(self) -> None:
        self.world.runflow.habits.key_good = True

    def _pause(self) -> None:
        world = self.world
        world.jobs.operator = replace(world.jobs.operator, paused=True)
        world.paused_at = world.time
        for _ in range(3):  # it is for these that it was paused
            world.after(self.random.uniform(20, 70), partial(self._upload, self.random.choice(KEYS)))
        world.after(self.random.uniform(60, 5000), self._resume)

    def _resume(self) -> None:
        self.world.jobs.operator = replace(self.world.jobs.operator, paused=None)

    def _limit(self, limit: Decimal | None) -> None:
        self.world.set_limit(limit)

    def _spend(self) -> None:
        world = self.world
        world.runflow.habits.credit = PRICE * self.random.randint(0, 3)
        world.after(self.random.uniform(60, 6000), self._top_up)

    def _top_up(self) -> None:
        self.world.storm.happens("credit back")
        self.world.runflow.habits.credit = None

    def _down(self) -> None:
        self.world.runflow.down = True
        self.world.after(self.random.uniform(60, 4000), self._up)

    def _up(self) -> None:
        self.world.runflow.down = False

    # Strangers

    def _strangers(self) -> None:
        for _ in range(self.random.randint(0, 4)):
            at = self.world.started + self.length * self.random.uniform(0.1, 1.0)
            self.world.at(at, self.random.choice((self._forge_run, self._forge_signature, self._garbage)))

    def _some_job(self) -> str:
        return self.random.choice(sorted(self.world.audit.names)) if self.world.audit.names else "0" * 32

    def _forge_run(self) -> None:
        world, job_id = self.world, self._some_job()
        world.storm.happens("callback of somebody else's run")
        job = world.jobs.jobs.get(job_id)
        number = job.submission_no if job else 1
        own = "https://evil.example/x.jpg"
        ours = world.photos.presign("in", job.upload.key, job.upload.version_id, 60) if job else own
        client_ref, url = self.random.choice(((f"{job_id}.{number}", own), ("theirs", ours), ("theirs", own)))
        world.runflow.forge(job_id, client_ref, url)

    def _forge_signature(self) -> None:
        world = self.world
        world.storm.happens("callback forged")
        body = dumps(
            {
                "event": "run.completed",
                "run_id": "r1",
                "status": "succeeded",
                "output": {"image_urls": ["https://evil.example/1"]},
                "metadata": {"app": "detag", "job_id": self._some_job()},
            }
        )
        signature = self.random.choice((None, "", "0" * 64, "sha256=" + "0" * 64))
        world.audit.answered(body, signature, world.receive(body, signature))

    def _garbage(self) -> None:
        world = self.world
        world.storm.happens("callback garbage")
        status = world.receive(b"\x00garbage", None)
        world.audit.check("answers", status in (401, 502, 503), status)

    # The end

    def _calm(self) -> None:
        """The storm is over; the operator has put everything right."""
        world = self.world
        if world.time // DAY > world.started // DAY:
            world.storm.happens("midnight")
        world.tell("--- the storm is over")
        world.storm.over = True
        self._resume()
        self._set_secret()
        self._set_key()
        self._restore()
        self._up()
        world.set_limit(None)
        world.runflow.habits.credit = None
        world.wake(world.time)
        world.after(2 * 3600.0, world.audit.gate_is_open)
        for hours in (1, 3, 27, 60):
            world.after(hours * 3600.0, world.redrive_all)

    def _repeat_everything(self) -> None:
        """Every event, message and callback once more: what was given up may be repaired, nothing else changes."""
        world = self.world
        if any(job.repairable for job in world.jobs.jobs.values()):
            self._repeat()
            world.audit.at_rest()
        before = world.audit.digest()
        self._repeat()
        for one, two in zip(before, world.audit.digest(), strict=True):
            changed = [item for item in two if item not in one] if isinstance(two, list) else [two]
            world.audit.check("redriving is harmless", one == two, *changed)
        world.audit.at_rest()

    def _repeat(self) -> None:
        world = self.world
        world.tell("--- everything once more")
        for event in list(world.arrivals):
            world.uploads.put(event, safely=True)
        for body, signature in list(world.runflow.callbacks):
            world.receive(body, signature)
        for queue in (world.uploads, world.results):
            queue.dead, queue.died = list(queue.died), []
        for job in world.jobs.jobs.values():
            world.uploads.put({"job_id": job.job_id}, safely=True)
            world.results.put({"job_id": job.job_id, "run_id": job.run_id}, safely=True)
        world.redrive_all()
        world.wake(world.time)
        world.run_out(world.time + REST_DAYS * DAY)
