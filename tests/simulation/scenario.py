"""A simulation's workload: a shop uploads photos while faults fire, its operator acts, and faults end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from random import Random
from typing import Final

from detag.domain.job import RETENTION_SECONDS, State
from detag.domain.money import NO_LIMIT
from detag.domain.reasons import Reason
from detag.domain.runs import same_account
from tests.simulation.photos import NOT_SENT, dressed, photo
from tests.simulation.simulation import DAY, PRICE, Simulation, dumps

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
IGNORED: Final = ("@eaDir/x.jpg/SYNOPHOTO_THUMB_M.jpg", "shop/.thumbnails/x.jpg", "shop/._x.jpg", "x.jpg.filepart")
REST_DAYS: Final = 9
ASSET: Final = "runflow://assets/77"
"""What Runflow may show in place of any photo's URL."""
OTHER_SHAPE: Final = {"aspect_ratio": "21:9"}
"""A configuration that no photo of the shop asks for."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one simulation went."""

    seed: int
    broken: tuple[tuple[str, str], ...]
    seen: Counter[str]
    trace: tuple[str, ...]
    runs: int
    uploads: int


def play(seed: int, *, trace: bool = False, until: str | None = None) -> Verdict:
    """Run one simulation to its end, or to the first breach of the invariant `until`."""
    simulation = Simulation(seed, trace=trace)
    simulation.checker.until = until
    Workload(simulation).run()
    return Verdict(
        seed,
        tuple(simulation.checker.broken),
        simulation.profile.seen,
        tuple(simulation.trace or ()),
        len(simulation.runflow.runs),
        len(simulation.checker.names),
    )


class Keys:
    """Which API keys the operator stores. Drawn by itself: without such changes, a simulation is what it was."""

    def __init__(self, simulation: Simulation, length: float) -> None:
        self.simulation, self.length = simulation, length
        self.random = Random(f"{simulation.seed} keys")
        self._counted = 0.0

    def change(self) -> None:
        """Perhaps another account's key is stored for a while, or another key of the same account for good."""
        simulation, random, habits = self.simulation, self.random, self.simulation.runflow.habits
        habits.names_account = random.random() < 0.6
        if random.random() < 0.3:
            habits.accounts = {**habits.accounts, "key 2": "theirs"}
            begins = self.length * random.uniform(0.05, 0.9)
            simulation.after(begins, lambda: self._store("key 2", "key of another account stored"))
            if random.random() < 0.6:
                ends = begins + random.choice((60.0, 1_200.0, 5_000.0))
                simulation.after(ends, lambda: self._store("key 1", "key put back"))
        if random.random() < 0.2:
            habits.accounts = {**habits.accounts, "key 3": "ours"}
            begins = self.length * random.uniform(0.05, 0.9)
            simulation.after(begins, lambda: self._store("key 3", "key of the same account stored"))

    def _store(self, key: str, kind: str) -> None:
        self.simulation.profile.happens(kind)
        self.simulation.trace_line("operator:", kind)
        self.simulation.runflow.habits.key = key

    def end_changes(self) -> None:
        """From now on a key is only stored by an operator who was told that photos wait for it, some hours later."""
        if len(self.simulation.runflow.habits.accounts) > 1:
            self._look()

    def store_another(self) -> None:
        """Dead letters may be about runs of either account: they are sent on with each key in turn."""
        habits = self.simulation.runflow.habits
        keys = [*habits.accounts]
        habits.key = keys[(keys.index(habits.key) + 1) % len(keys)]

    def _look(self) -> None:
        simulation = self.simulation
        counted, before = simulation.telemetry.counts["OtherAccount"], self._counted
        self._counted = counted
        jobs = [job for job in simulation.jobs.jobs.values() if not job.state.terminal]
        runflow = simulation.runflow
        waiting = [job for job in jobs if job.account and not same_account(job.account, runflow.account())]
        if counted > before and waiting:
            self._store(waiting[0].account[0], "key put back")
        if jobs:
            simulation.after(3 * 3600.0, self._look)


class Workload:
    """Draws what the shop, its operator and strangers do."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation, self.random = simulation, simulation.random
        self.of_key: dict[str, list[bytes]] = {}
        """The photos of each name, oldest first."""
        self.drawn: list[tuple[bytes, str]] = []
        """Every photo so far, and its encoding."""
        self.length = self.random.uniform(1.0, 5.0) * 3600
        self.keys = Keys(simulation, self.length)

    def run(self) -> None:
        """From the first upload to the last check."""
        simulation = self.simulation
        self._choose_settings()
        self._uploads()
        self._operator()
        self._strangers()
        self.keys.change()
        self._requests()
        simulation.wake(simulation.time)
        simulation.at(simulation.started + self.length, self._end_faults)
        simulation.run_out(simulation.started + REST_DAYS * DAY)
        for _ in range(3):
            self.keys.store_another()
            simulation.redrive_all()
            simulation.wake(simulation.time)
            simulation.run_out(simulation.time + REST_DAYS * DAY)
        if simulation.checker.is_over:
            return
        simulation.checker.at_rest()
        if not simulation.checker.broken:
            self._repeat_everything()

    def _choose_settings(self) -> None:
        simulation, random = self.simulation, self.random
        simulation.run_timeout_hours = random.choice((2, 24))
        simulation.url_lifetime_minutes = random.choice((20, 60))
        simulation.max_attempts = random.choice((1, 3))
        images = random.choice((None, None, 4, 8, 15, 2000))
        simulation.limit = None if images is None else PRICE * images
        simulation.set_limit(simulation.limit)

    # The shop

    def _uploads(self) -> None:
        random, simulation = self.random, self.simulation
        simulation.uploads.window = random.choice((0.0, 2.0, 10.0))
        left = random.randint(20, 26)
        while left:
            at = simulation.started + self.length * random.uniform(0.0, 0.85)
            together = min(left, random.choice((1, 1, 5)))
            for _ in range(together):
                simulation.at(at + random.random(), partial(self._upload, random.choice(KEYS)))
            left -= together
        midnight = (simulation.started // DAY + 1) * DAY
        for _ in range(3 * (simulation.started + 0.85 * self.length > midnight)):
            simulation.at(midnight + random.uniform(-60.0, 40.0), partial(self._upload, random.choice(KEYS)))
        for _ in range(random.choice((0, 0, 2, 4))):
            act = random.choice((self._delete_output, self._overwrite_output, self._reject_output, self._feed_back))
            simulation.at(simulation.started + self.length * random.uniform(0.1, 0.9), act)
        self._many_names()
        for _ in range(random.randint(0, 3)):
            at = simulation.started + self.length * random.uniform(0.0, 0.85)
            simulation.at(
                at,
                random.choice(
                    (
                        self._not_an_image,
                        self._empty,
                        self._folder,
                        self._not_cleaned,
                        self._huge,
                        self._thumbnail,
                    )
                ),
            )

    def _many_names(self) -> None:
        """A picture gets several names, a person lays a hand on some of its outputs, and it is uploaded again."""
        simulation, random = self.simulation, Random(f"{self.simulation.seed} names")
        if random.random() < 0.5:
            return
        data = photo(f"many{simulation.seed}", "image/jpeg")
        names = [f"folder {number}/many.jpg" for number in range(random.randint(2, 4))]
        again = [random.choice([*names, "folder 9/many.jpg"]) for _ in range(random.randint(1, 3))]
        at = simulation.started + self.length * random.uniform(0.0, 0.3)
        for key in names:
            simulation.at(at, partial(simulation.upload, key, data))
            at += random.choice((1.0, 60.0, 600.0))
        for key in again:
            act = random.choice((self._delete_output, self._overwrite_output, self._reject_output))
            simulation.at(at, partial(act, random.choice(names)))
            at += random.choice((1.0, 60.0, 600.0))
            simulation.at(at, partial(simulation.upload, key, data))
            at += random.choice((1.0, 60.0, 600.0))

    def _upload(self, key: str) -> None:
        simulation = self.simulation
        content_type = "image/png" if key.endswith(".png") else "image/jpeg"
        number = next(simulation.numbers)
        name = f"p{number}"
        if any(upload.key == key for upload in simulation.uploaded):
            simulation.profile.happens("upload overwritten")
        data, encoding = dressed(photo(name, content_type), number)
        metadata = {"shop": "north"}
        if self.drawn and simulation.profile.fires("upload equal to another"):
            data, encoding = self.random.choice(self.drawn[-6:])
            if data in self.of_key.get(key, ())[:-1]:
                simulation.profile.happens("picture back under its name after another")
            if simulation.profile.fires("upload equal to another, cleaned anew"):
                metadata |= {"detag-again": self.random.choice(("once", "twice"))}
        self.drawn.append((data, encoding))
        self.of_key.setdefault(key, []).append(data)
        renamed = simulation.profile.fires("upload renamed")
        upload = simulation.upload(f"new {number}" if renamed else key, data, metadata, encoding=encoding)
        if renamed:
            simulation.after(self.random.choice((0.05, 0.5, 5.0)), lambda: simulation.rename(upload.key, key))
            return
        if simulation.profile.fires("upload deleted"):
            simulation.after(self.random.choice((0.1, 5.0, 300.0, 1200.0)), lambda: simulation.delete(key))
        if simulation.profile.fires("version deleted for good"):
            later = self.random.choice((0.1, 5.0, 1200.0))
            simulation.after(later, lambda: simulation.delete(key, upload.version_id))
        if simulation.profile.fires("upload overwritten by no photo"):
            simulation.after(self.random.choice((0.1, 5.0, 300.0)), lambda: self._overwrite(key))
        if simulation.profile.fires("upload overwritten soon"):
            simulation.after(self.random.choice((2.0, 10.0, 30.0)), lambda: self._upload(key))
        if not simulation.versioned and simulation.profile.fires("upload overwritten by an equal one"):
            again = partial(simulation.upload, key, data, metadata, encoding=encoding)
            simulation.after(self.random.choice((0.5, 2.0, 10.0)), again)

    # The output bucket

    def _some_output(self, of: str | None = None) -> str | None:
        """The key of an output that a job has delivered, and which is there; `of` one photo, where that is given."""
        simulation = self.simulation
        found = {
            output.key
            for job in simulation.jobs.jobs.values()
            for output in job.stored
            if of in (None, job.upload.key)
            and output.key in simulation.photos.outputs
            and (there := simulation.photos.outputs[output.key]).version_id == output.version_id
            and there.etag == output.etag
        }
        return self.random.choice(sorted(found)) if found else None

    def _delete_output(self, of: str | None = None) -> None:
        if (key := self._some_output(of)) is not None:
            self.simulation.profile.happens("output deleted by hand")
            self.simulation.change_by_hand(key, None)

    def _overwrite_output(self, of: str | None = None) -> None:
        if (key := self._some_output(of)) is not None:
            self.simulation.profile.happens("output overwritten by hand")
            self.simulation.change_by_hand(key, b"retouched")

    def _reject_output(self, of: str | None = None) -> None:
        if (key := self._some_output(of)) is not None:
            self.simulation.profile.happens("output rejected")
            self.simulation.reject(key)

    def _feed_back(self) -> None:
        if (key := self._some_output()) is not None:
            self.simulation.profile.happens("output uploaded as a photo")
            data = self.simulation.photos.outputs[key].data
            name = self.random.choice((*KEYS, f"back {next(self.simulation.numbers)}.jpg"))
            upload = self.simulation.upload(name, data)
            self.simulation.checker.fed_back(upload)

    def _overwrite(self, key: str) -> None:
        """With what is no photo, by mistake; it may be taken back, and then the photo is there again."""
        simulation = self.simulation
        upload = simulation.upload(key, b"a list of prices", sent=False)
        if simulation.versioned and self.random.random() < 0.7:
            simulation.profile.happens("upload overwritten by no photo, which is taken back")
            simulation.after(self.random.choice((3.0, 60.0)), lambda: simulation.delete(key, upload.version_id))

    def _thumbnail(self) -> None:
        """A real photo, made by a sync tool or a NAS beside the one that was meant."""
        self.simulation.profile.happens("upload with an ignored name")
        key = IGNORED[next(self.simulation.numbers) % len(IGNORED)]
        self.simulation.upload(key, photo("thumbnail", "image/jpeg"), sent=False)

    def _not_an_image(self) -> None:
        self.simulation.profile.happens("upload not a photo")
        self.simulation.upload("notes.txt", b"just words, no photo", sent=False)

    def _empty(self) -> None:
        self.simulation.profile.happens("upload not a photo")
        self.simulation.upload("empty.jpg", b"", sent=False)

    def _folder(self) -> None:
        self.simulation.profile.happens("upload not a photo")
        self.simulation.upload("folder/", b"", sent=False)

    def _not_cleaned(self) -> None:
        self.simulation.profile.happens("upload not a photo")
        key = tuple(NOT_SENT)[next(self.simulation.numbers) % len(NOT_SENT)]
        self.simulation.upload(key, NOT_SENT[key], sent=False)

    def _huge(self) -> None:
        self.simulation.profile.happens("upload not a photo")
        self.simulation.upload("huge.jpg", photo("huge", "image/jpeg"), size=60 * 1024 * 1024, sent=False)

    # The operator

    def _operator(self) -> None:
        act, simulation = self._perhaps, self.simulation
        act(0.3, "secret rotated", self._rotate)
        act(0.15, "secret not set at first", lambda: None, self._no_secret)
        act(0.15, "key not set at first", lambda: None, self._no_key)
        act(0.25, "key revoked", self._revoke)
        act(0.25, "paused", self._pause)
        act(0.3, "spend limit lowered", lambda: self._limit(Decimal("0.14") * self.random.randint(0, 6)))
        act(0.4, "spend limit raised", lambda: self._limit(PRICE * self.random.randint(10, 30)))
        act(0.2, "spend limit lifted", lambda: self._limit(None))
        act(0.3, "price changed", self._price)
        act(0.2, "limit deployed anew", self._deploy_limit)
        act(0.15, "day budget deleted", self._lose_budget)
        act(0.2, "Lambda throttled", self._throttle)
        act(0.2, "item unreadable", self._roll_back)
        act(0.15, "intake unreadable", self._spoil_intake)
        act(0.25, "credit runs out", self._spend)
        act(0.25, "Runflow down", self._down)
        act(0.25, "rights not spread yet", self._no_rights)
        for _ in range(3):
            simulation.at(simulation.started + self.length * self.random.uniform(0.05, 0.9), simulation.redrive_all)

    def _perhaps(
        self, chance: float, kind: str, later: Callable[[], None], at_once: Callable[[], None] | None = None
    ) -> None:
        if self.random.random() >= chance:
            return
        simulation = self.simulation

        def act() -> None:
            simulation.profile.happens(kind)
            simulation.trace_line("operator:", kind)
            (at_once or later)()

        if at_once:
            act()
        else:
            simulation.at(simulation.started + self.length * self.random.uniform(0.05, 0.9), act)

    def _rotate(self) -> None:
        simulation = self.simulation
        number = next(simulation.numbers)
        secret = f"whsec_{number}"
        simulation.all_secrets.append(secret)
        simulation.secrets.secrets = (secret, *simulation.secrets.secrets[:1])
        simulation.secrets_changed = simulation.time

        def promote() -> None:
            simulation.runflow.secret = secret

        def forget() -> None:
            simulation.secrets.secrets = simulation.secrets.secrets[:1]
            simulation.secrets_changed = simulation.time

        simulation.after(self.random.choice((0.0, 60.0)), promote)
        simulation.after(1800.0, forget)

    def _no_secret(self) -> None:
        simulation = self.simulation
        simulation.secrets.secrets = ()
        simulation.after(self.random.uniform(60, 3000), self._set_secret)

    def _set_secret(self) -> None:
        simulation = self.simulation
        if not simulation.secrets.secrets:
            simulation.secrets.secrets = (simulation.runflow.secret,)
            simulation.secrets_changed = simulation.time

    def _no_key(self) -> None:
        self.simulation.runflow.habits.configured = False
        self.simulation.after(self.random.uniform(60, 3000), self._set_key)

    def _set_key(self) -> None:
        self.simulation.runflow.habits.configured = True

    def _revoke(self) -> None:
        self.simulation.runflow.habits.key_good = False
        self.simulation.after(self.random.uniform(60, 5000), self._restore)

    def _restore(self) -> None:
        self.simulation.runflow.habits.key_good = True

    def _pause(self) -> None:
        simulation = self.simulation
        simulation.jobs.operator = replace(simulation.jobs.operator, paused=True)
        simulation.paused_at = simulation.time
        for _ in range(3):  # it is for these that it was paused
            simulation.after(self.random.uniform(20, 70), partial(self._upload, self.random.choice(KEYS)))
        simulation.after(self.random.uniform(60, 5000), self._resume)

    def _resume(self) -> None:
        self.simulation.jobs.operator = replace(self.simulation.jobs.operator, paused=None)

    def _limit(self, limit: Decimal | None) -> None:
        self.simulation.set_limit(limit)

    def _price(self) -> None:
        """A deployment: for a while there are processes of both prices."""
        simulation = self.simulation
        simulation.price = Decimal(self.random.choice(("0.07", "0.1375", "0.28")))
        simulation.idle["submit"] = simulation.idle["submit"][::2]

    def _deploy_limit(self) -> None:
        """Another limit as the parameter, no override; for a while there are processes of both."""
        simulation = self.simulation
        old, simulation.limit = simulation.limit, PRICE * self.random.randint(2, 20)
        simulation.jobs.operator = replace(simulation.jobs.operator, limit_usd=None)
        simulation.limits.append((simulation.time, NO_LIMIT if old is None else max(old, simulation.limit)))

        def last_of_the_old() -> None:
            simulation.replaced = next(simulation.numbers)
            for idle in simulation.idle.values():
                idle.clear()
            if simulation.jobs.operator.limit_usd is None:
                simulation.limits.append((simulation.time, simulation.limit or NO_LIMIT))

        simulation.after(20.0, last_of_the_old)

    def _throttle(self) -> None:
        """Another function of the account takes all of its concurrency."""
        self.simulation.throttled_until = self.simulation.time + self.random.uniform(60, 700)

    def _roll_back(self) -> None:
        """To code that cannot read some of the open items, until it is rolled forward."""
        simulation = self.simulation
        left = [job_id for job_id, job in simulation.jobs.jobs.items() if not job.state.terminal]
        simulation.jobs.unreadable.update(self.random.sample(sorted(left), min(len(left), 3)))
        simulation.after(self.random.uniform(600, 8_000), self._roll_forward)

    def _roll_forward(self) -> None:
        self.simulation.jobs.unreadable.clear()
        self.simulation.jobs.intake_unreadable = False

    def _spoil_intake(self) -> None:
        self.simulation.jobs.intake_unreadable = True
        self.simulation.after(self.random.uniform(60, 5_000), self._roll_forward)

    def _lose_budget(self) -> None:
        simulation, day = self.simulation, self.simulation.day()
        if day in simulation.jobs.open_days:
            simulation.checker.lost.add(day)
            simulation.jobs.open_days.discard(day)
            simulation.jobs.money.pop(day, None)

    def _spend(self) -> None:
        simulation = self.simulation
        simulation.runflow.habits.credit = PRICE * self.random.randint(0, 3)
        simulation.after(self.random.uniform(60, 6000), self._top_up)

    def _top_up(self) -> None:
        self.simulation.profile.happens("credit topped up")
        self.simulation.runflow.habits.credit = None

    def _down(self) -> None:
        self.simulation.runflow.down = True
        self.simulation.after(self.random.uniform(60, 4000), self._up)

    def _up(self) -> None:
        self.simulation.runflow.down = False

    def _no_rights(self) -> None:
        self.simulation.photos.rights_spread = False
        self.simulation.after(self.random.uniform(60, 3300), self._spread_rights)

    def _spread_rights(self) -> None:
        self.simulation.photos.rights_spread = True

    # Requests to reopen closed jobs

    def _requests(self) -> None:
        """From a chance of their own, so that all else is as it would be without them."""
        asking = Random(f"reopen {self.simulation.seed}")
        for _ in range(asking.choice((0, 3, 12))):
            at = self.simulation.started + self.length * asking.uniform(0.2, 2.0)
            self.simulation.at(at, partial(self._ask_to_reopen, asking))

    def _ask_to_reopen(self, asking: Random) -> None:
        simulation = self.simulation
        how = asking.choice(("ask", "unpaid", "paid"))
        jobs = sorted(simulation.jobs.jobs.values(), key=lambda job: job.job_id)
        closed = [job for job in jobs if job.state.terminal]
        undone = [job for job in closed if job.state is not State.DELIVERED]
        job = asking.choice(undone if undone and asking.random() < 0.5 else closed) if closed else None
        if job is None or asking.random() < 0.15:
            simulation.profile.happens("asked to reopen: refused")
            way, job_id = asking.choice((("paid", "f" * 32), ("twice", jobs[0].job_id if jobs else "x")))
            simulation.reopen(way, {"job_id": job_id})
            return
        simulation.profile.happens(f"asked to reopen: {how}")
        named = {"job_id": job.job_id}
        if asking.random() < 0.3:
            simulation.profile.happens("asked to reopen: by its key")
            named = {"key": job.upload.key} | ({"version_id": job.upload.version} if job.upload.version else {})
        copies = asking.choice((1, 1, 2, 10))
        request_id = simulation.reopen(how, named, copies=copies)
        if asking.random() < 0.5:
            simulation.after(asking.uniform(3.0, 60.0), partial(self._call_back_again, job.run_id or ""))
        if copies > 1:
            simulation.profile.happens("asked to reopen: again and again")
            later = asking.choice((30.0, 600.0, 4 * 3600.0))
            simulation.after(later, lambda: simulation.reopen(how, named, request_id=request_id))

    def _call_back_again(self, run_id: str) -> None:
        """Somebody redelivers the callback of the run that was there before."""
        for body, signature in list(self.simulation.runflow.callbacks):
            if json.loads(body)["run_id"] == run_id:
                self.simulation.profile.happens("asked to reopen: an earlier run calls back")
                self.simulation.receive(body, signature)

    # Strangers

    def _strangers(self) -> None:
        for _ in range(self.random.randint(0, 4)):
            at = self.simulation.started + self.length * self.random.uniform(0.1, 1.0)
            self.simulation.at(at, self.random.choice((self._forge_run, self._forge_signature, self._garbage)))
        for _ in range(self.random.choice((0, 0, 8))):
            at = self.simulation.started + self.length * self.random.uniform(0.1, 1.0)
            self.simulation.at(at, self._forge_run)

    def _some_job(self) -> str:
        return self.random.choice(sorted(self.simulation.checker.names)) if self.simulation.checker.names else "0" * 32

    def _forge_run(self) -> None:
        simulation, job_id = self.simulation, self._some_job()
        open_for_it = [
            job.job_id
            for job in simulation.jobs.jobs.values()
            if job.state is State.SUBMITTING or job.unconfirmed or job.reason is Reason.RETRY
        ]
        if open_for_it and self.random.random() < 0.7:
            job_id = self.random.choice(open_for_it)
        simulation.profile.happens("callback of an unrelated run")
        job = simulation.jobs.jobs.get(job_id)
        number = job.submission_no if job else 1
        own = "https://evil.example/x.jpg"
        upload = job.upload if job else None
        ours = simulation.photos.presign("in", upload.key, upload.version_id, 60, "image/jpeg") if upload else own
        client_ref, url, config = self.random.choice(
            (
                (f"{job_id}.{number}", own, {}),
                (f"{job_id}.{number + 7}", ours, {}),
                (f"{job_id}.{number + 7}", ASSET, {}),
                (f"{job_id}.{number}x", ours, {}),
                (f"{job_id}.{number}", ASSET, OTHER_SHAPE),
                (f"{job_id}.{number}", ours, OTHER_SHAPE),
                ("theirs", ours, {}),
                ("theirs", own, {}),
            )
        )
        forged = simulation.runflow.forge(job_id, client_ref, url, config)
        if config:
            simulation.runflow.alike.add(forged.run_id)

    def _forge_signature(self) -> None:
        simulation = self.simulation
        simulation.profile.happens("callback forged")
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
        simulation.checker.answered(body, signature, simulation.receive(body, signature))

    def _garbage(self) -> None:
        simulation = self.simulation
        simulation.profile.happens("callback garbage")
        status = simulation.receive(b"\x00garbage", None)
        simulation.checker.check("answers", status in (401, 502, 503), status)

    # The end

    def _end_faults(self) -> None:
        """Faults end; the operator has put everything right."""
        simulation = self.simulation
        if simulation.time // DAY > simulation.started // DAY:
            simulation.profile.happens("midnight")
        simulation.trace_line("--- faults end")
        simulation.profile.active = False
        self._resume()
        self._set_secret()
        self._set_key()
        self._restore()
        self.keys.end_changes()
        self._up()
        self._spread_rights()
        self._roll_forward()
        simulation.throttled_until = simulation.time
        for day in sorted(simulation.checker.lost):
            simulation.checker.find_budget(day)
        simulation.runflow.habits.credit = None
        if self.random.random() < 0.2:
            simulation.profile.seen["spend limit never lifted"] += 1
            simulation.set_limit(Decimal("2.1"))
        else:
            simulation.set_limit(None)
            simulation.after(2 * 3600.0, simulation.checker.intake_is_open)
        simulation.wake(simulation.time)
        for hours in (1, 3, 27, 60):
            simulation.after(hours * 3600.0, simulation.redrive_all)

    def _repeat_everything(self) -> None:
        """Every event, message and callback once more: what was given up may be repaired, and what another run cost
        may be told; nothing else changes.
        """
        simulation = self.simulation
        runflow = simulation.runflow
        late = bool(runflow.tried_again | runflow.too_late | runflow.alike)
        if late or any(job.repairable or job.spent for job in simulation.jobs.jobs.values()):
            # all callbacks of such a run may have been lost, or none kept; each key shows the runs of its own account
            for _ in runflow.habits.accounts:
                self.keys.store_another()
                self._repeat()
            simulation.checker.at_rest()
        before = simulation.checker.digest()
        self._repeat()
        for one, two in zip(before, simulation.checker.digest(), strict=True):
            changed = [item for item in two if item not in one] if isinstance(two, list) else [two]
            simulation.checker.check("redriving is harmless", one == two, *changed)
        simulation.checker.at_rest()
        self._expire()

    def _expire(self) -> None:
        """Every event once more, long after the table has forgotten the jobs: none is paid for again."""
        simulation = self.simulation
        simulation.run_until(simulation.time + RETENTION_SECONDS + 2 * DAY)
        simulation.jobs.expire()
        simulation.trace_line("--- every event once more, after the items have expired")
        sent = len(simulation.runflow.sent)
        for event in (*simulation.arrivals, *simulation.requests.values()):
            simulation.uploads.put(event, safely=True)
        simulation.run_out(simulation.time + REST_DAYS * DAY)
        simulation.checker.check("redriving is harmless", len(simulation.runflow.sent) == sent, "paid after expiry")

    def _repeat(self) -> None:
        simulation = self.simulation
        simulation.trace_line("--- every message once more")
        for event in list(simulation.arrivals):
            simulation.uploads.put(event, safely=True)
        for message in list(simulation.requests.values()):
            simulation.uploads.put(message, safely=True)
        for body, signature in list(simulation.runflow.callbacks):
            simulation.receive(body, signature)
        for queue in (simulation.uploads, simulation.results):
            queue.dead, queue.died = list(queue.died), []
        for job in simulation.jobs.jobs.values():
            simulation.uploads.put({"job_id": job.job_id}, safely=True)
            simulation.results.put({"job_id": job.job_id, "run_id": job.run_id}, safely=True)
        simulation.redrive_all()
        simulation.wake(simulation.time)
        simulation.run_out(simulation.time + REST_DAYS * DAY)
