"""What each service is made of: the one place that knows. Handlers, tests and the simulation build services here.

Each function imports only the service that it runs: the others would lengthen its cold start.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detag.domain.backoff import Uniform
    from detag.domain.naming import Naming
    from detag.ports.clock import Clock
    from detag.ports.events import Events
    from detag.ports.jobs import JobStore
    from detag.ports.outputs import Fetcher
    from detag.ports.photos import Listing, PhotoStore
    from detag.ports.queue import Queue
    from detag.ports.runs import Runs
    from detag.ports.secrets import CallbackSecrets
    from detag.ports.stacks import Stacks
    from detag.ports.telemetry import Telemetry
    from detag.services.admission import Admission
    from detag.services.budget import Budget
    from detag.services.callback import CallbackHandler
    from detag.services.confirmation import Confirmation
    from detag.services.deliver import Deliver
    from detag.services.intake import IntakeControl
    from detag.services.missed_uploads import MissedUploads
    from detag.services.outbox import Outbox
    from detag.services.prefix_claim import PrefixClaim
    from detag.services.reconcile import Reconcile
    from detag.services.records import Records
    from detag.services.reopening import Reopening
    from detag.services.reuse import Reuse
    from detag.services.sending import Sending
    from detag.services.steps import Steps
    from detag.services.storing import Storing
    from detag.services.submission import Submission
    from detag.services.submit import Submit
    from detag.settings import DeliverSettings, ReconcileSettings, SubmitSettings


def submit(
    settings: SubmitSettings,
    *,
    jobs: JobStore,
    photos: PhotoStore,
    runs: Runs,
    events: Events,
    clock: Clock,
    telemetry: Telemetry,
    stacks: Stacks | None = None,
    uniform: Uniform = random.uniform,
) -> Submit:
    """From uploads to runs. `stacks`: where the stack claims its folder of a bucket that is not its own."""
    from detag.services.submit import Submit

    naming = _naming(settings)
    records = _records(naming, jobs, photos, clock, uniform)
    steps = _steps(jobs, clock, telemetry, _outbox(records, events, clock, telemetry))
    storing = _storing(naming, jobs, photos, records, clock, telemetry, uniform)
    admission = _admission(settings, _folder(settings, stacks, clock, telemetry), jobs, photos, runs, clock)
    sending, confirmation = _ways(settings, admission, jobs, photos, runs, storing, steps, clock, telemetry, uniform)
    return Submit(
        input_bucket=settings.input_bucket,
        input_prefix=settings.input_prefix,
        confirmation_seconds=_confirmation_seconds(settings),
        sending=sending,
        confirmation=confirmation,
        reopening=_reopening(settings, admission, jobs, photos, steps, clock, telemetry),
        jobs=jobs,
        steps=steps,
        clock=clock,
        telemetry=telemetry,
        uniform=uniform,
    )


def callback(*, secrets: CallbackSecrets, results: Queue, clock: Clock, telemetry: Telemetry) -> CallbackHandler:
    """From callbacks to messages."""
    from detag.services.callback import CallbackHandler, SecretList

    kept = SecretList(source=secrets, clock=clock)
    return CallbackHandler(secrets=kept, results=results, clock=clock, telemetry=telemetry)


def deliver(
    settings: DeliverSettings,
    *,
    jobs: JobStore,
    photos: PhotoStore,
    runs: Runs,
    fetcher: Fetcher,
    events: Events,
    clock: Clock,
    telemetry: Telemetry,
    uniform: Uniform = random.uniform,
) -> Deliver:
    """From ended runs to outputs."""
    from detag.services.deliver import Deliver

    naming = _naming(settings)
    records = _records(naming, jobs, photos, clock, uniform)
    steps = _steps(jobs, clock, telemetry, _outbox(records, events, clock, telemetry))
    return Deliver(
        max_attempts=settings.max_attempts,
        run_timeout_hours=settings.run_timeout_hours,
        jobs=jobs,
        photos=photos,
        runs=runs,
        fetcher=fetcher,
        storing=_storing(naming, jobs, photos, records, clock, telemetry, uniform),
        steps=steps,
        budget=_budget(settings, jobs, steps, clock, telemetry),
        clock=clock,
        telemetry=telemetry,
        uniform=uniform,
    )


def reconcile(
    settings: ReconcileSettings,
    *,
    jobs: JobStore,
    listing: Listing,
    uploads: Queue,
    results: Queue,
    events: Events,
    runs: Runs,
    clock: Clock,
    telemetry: Telemetry,
    stacks: Stacks | None = None,
) -> Reconcile:
    """What runs every minute. `stacks` as for `submit`."""
    from detag.services.batches import Batches
    from detag.services.reconcile import Reconcile

    steps = _steps(jobs, clock, telemetry, None)
    return Reconcile(
        run_timeout_hours=settings.run_timeout_hours,
        paused=settings.paused,
        jobs=jobs,
        uploads=uploads,
        results=results,
        runs=runs,
        intake=_intake(jobs, clock, telemetry),
        steps=steps,
        budget=_budget(settings, jobs, steps, clock, telemetry),
        missed=_missed(settings, jobs=jobs, listing=listing, uploads=uploads, clock=clock, telemetry=telemetry),
        folder=_folder(settings, stacks, clock, telemetry),
        batches=Batches(jobs=jobs, events=events, clock=clock, telemetry=telemetry),
        clock=clock,
        telemetry=telemetry,
    )


def _folder(
    settings: SubmitSettings | ReconcileSettings, stacks: Stacks | None, clock: Clock, telemetry: Telemetry
) -> PrefixClaim | None:
    if stacks is None:
        return None
    from detag.services.prefix_claim import PrefixClaim

    return PrefixClaim(
        stack=settings.stack, prefix=settings.input_prefix, stacks=stacks, clock=clock, telemetry=telemetry
    )


def _missed(
    settings: ReconcileSettings,
    *,
    jobs: JobStore,
    listing: Listing,
    uploads: Queue,
    clock: Clock,
    telemetry: Telemetry,
) -> MissedUploads:
    from detag.domain.missed_uploads import Place
    from detag.services.missed_uploads import MissedUploads

    return MissedUploads(
        place=Place(settings.input_bucket, settings.input_prefix, is_own=not settings.stack),
        jobs=jobs,
        listing=listing,
        uploads=uploads,
        clock=clock,
        telemetry=telemetry,
    )


def _ways(
    settings: SubmitSettings,
    admission: Admission,
    jobs: JobStore,
    photos: PhotoStore,
    runs: Runs,
    storing: Storing,
    steps: Steps,
    clock: Clock,
    telemetry: Telemetry,
    uniform: Uniform,
) -> tuple[Sending, Confirmation]:
    """What carries out each answer of `resume`."""
    from detag.services.confirmation import Confirmation
    from detag.services.existing_runs import ExistingRuns
    from detag.services.sending import Sending

    existing = ExistingRuns(runs=runs, photos=photos, clock=clock, telemetry=telemetry)
    budget = _budget(settings, jobs, steps, clock, telemetry)
    submission = _submission(settings, jobs, photos, runs, steps, budget, clock, uniform)
    reuse = _reuse(settings, jobs, photos, storing, clock)
    sending = Sending(
        admission=admission, submission=submission, reuse=reuse, steps=steps, clock=clock, telemetry=telemetry
    )
    confirmation = Confirmation(
        admission=admission,
        submission=submission,
        sending=sending,
        existing=existing,
        steps=steps,
        budget=budget,
        clock=clock,
        uniform=uniform,
    )
    return sending, confirmation


def _admission(
    settings: SubmitSettings,
    folder: PrefixClaim | None,
    jobs: JobStore,
    photos: PhotoStore,
    runs: Runs,
    clock: Clock,
) -> Admission:
    from detag.domain.decisions import Criteria
    from detag.services.admission import Admission

    criteria = Criteria(
        input_bucket=settings.input_bucket,
        input_prefix=settings.input_prefix,
        ignored_names=settings.ignored_names,
        max_bytes=settings.max_image_megabytes * 1024 * 1024,
        most_pixels=settings.max_image_megapixels * 1_000_000,
        photo_types=settings.photo_types,
        aspect_ratio=settings.aspect_ratio,
        reuses=settings.reuse_results,
    )
    return Admission(
        criteria=criteria, paused=settings.paused, folder=folder, jobs=jobs, photos=photos, runs=runs, clock=clock
    )


def _reopening(
    settings: SubmitSettings,
    admission: Admission,
    jobs: JobStore,
    photos: PhotoStore,
    steps: Steps,
    clock: Clock,
    telemetry: Telemetry,
) -> Reopening:
    from detag.services.reopening import Reopening

    return Reopening(
        input_bucket=settings.input_bucket,
        input_prefix=settings.input_prefix,
        jobs=jobs,
        photos=photos,
        admission=admission,
        steps=steps,
        clock=clock,
        telemetry=telemetry,
    )


def _submission(
    settings: SubmitSettings,
    jobs: JobStore,
    photos: PhotoStore,
    runs: Runs,
    steps: Steps,
    budget: Budget,
    clock: Clock,
    uniform: Uniform,
) -> Submission:
    from detag.services.submission import Submission

    return Submission(
        callback_url=settings.callback_url,
        price=settings.price_per_image_usd,
        url_seconds=settings.url_lifetime_minutes * 60,
        confirmation_seconds=_confirmation_seconds(settings),
        run_timeout_hours=settings.run_timeout_hours,
        jobs=jobs,
        photos=photos,
        runs=runs,
        steps=steps,
        budget=budget,
        clock=clock,
        uniform=uniform,
    )


def _reuse(settings: SubmitSettings, jobs: JobStore, photos: PhotoStore, storing: Storing, clock: Clock) -> Reuse:
    from detag.services.reuse import Reuse

    return Reuse(price=settings.price_per_image_usd, jobs=jobs, photos=photos, storing=storing, clock=clock)


def _confirmation_seconds(settings: SubmitSettings) -> float:
    from detag.domain.waits import CLOCK_SKEW

    return settings.confirmation_minutes * 60.0 + CLOCK_SKEW


def _budget(
    settings: SubmitSettings | DeliverSettings | ReconcileSettings,
    jobs: JobStore,
    steps: Steps,
    clock: Clock,
    telemetry: Telemetry,
) -> Budget:
    from detag.services.budget import Budget

    return Budget(
        price=settings.price_per_image_usd,
        limit=settings.daily_spend_limit_usd,
        jobs=jobs,
        steps=steps,
        clock=clock,
        telemetry=telemetry,
    )


def _naming(settings: SubmitSettings | DeliverSettings) -> Naming:
    from detag.domain.naming import Naming

    return Naming(settings.input_prefix, settings.output_prefix, replaces=settings.output_name == "replace")


def _storing(
    naming: Naming,
    jobs: JobStore,
    photos: PhotoStore,
    records: Records,
    clock: Clock,
    telemetry: Telemetry,
    uniform: Uniform,
) -> Storing:
    from detag.services.storing import Storing

    return Storing(
        naming=naming, jobs=jobs, photos=photos, records=records, clock=clock, telemetry=telemetry, uniform=uniform
    )


def _records(naming: Naming, jobs: JobStore, photos: PhotoStore, clock: Clock, uniform: Uniform) -> Records:
    from detag.services.records import Records

    return Records(naming=naming, jobs=jobs, photos=photos, clock=clock, uniform=uniform)


def _outbox(records: Records, events: Events, clock: Clock, telemetry: Telemetry) -> Outbox:
    from detag.services.outbox import Outbox

    return Outbox(records=records, events=events, clock=clock, telemetry=telemetry)


def _steps(jobs: JobStore, clock: Clock, telemetry: Telemetry, outbox: Outbox | None) -> Steps:
    from detag.services.steps import Steps

    intake = _intake(jobs, clock, telemetry)
    return Steps(jobs=jobs, outbox=outbox, intake=intake, clock=clock, telemetry=telemetry)


def _intake(jobs: JobStore, clock: Clock, telemetry: Telemetry) -> IntakeControl:
    from detag.services.intake import IntakeControl

    return IntakeControl(jobs=jobs, clock=clock, telemetry=telemetry)
