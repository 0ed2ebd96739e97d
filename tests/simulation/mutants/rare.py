"""Guards that random simulations meet too rarely, or too late in days of waiting, to be looked for in them: each with a
directed one that fails without it.
"""

from __future__ import annotations

from typing import Final

KEPT_BY: Final[dict[str, str]] = {
    "a run unknown to Runflow": "test_directed.py::test_a_forgotten_run_that_turns_up_repairs_the_failed_job",
    "a run that never ends": "test_directed.py::test_a_run_that_ends_after_its_timeout_repairs_the_job",
    "no free retry while another run may have been charged": (
        "../unit/domain/test_decisions.py::test_a_run_that_is_not_tried_again_says_why"
        "[job3-run3-another run of it cannot be seen, and may have been charged]"
    ),
    "a copy is no run's output": (
        "test_directed_replaced_pictures.py::test_an_older_copy_is_not_taken_for_the_new_result"
    ),
    "intake: Retry-After is bounded": (
        "test_directed_failing.py::test_one_photo_that_is_always_429_alone_pauses_intake[milliseconds]"
    ),
    "reconcile": "test_directed.py::test_an_unmatched_paid_run_is_charged_and_alarmed",
    "reconcile: asks Runflow": "test_directed.py::test_of_two_existing_runs_one_is_adopted",
    "reconcile: waiting for intake": "test_directed.py::test_the_spend_limit_holds_over_midnight",
    "a run that cannot be read stops no other": (
        "test_directed_unreadable_runs.py::test_one_record_that_cannot_be_read_delays_no_other[2]"
    ),
    "a new run that a person asked for is not replaced by what is known": (
        "test_directed_replaced_pictures.py::test_a_known_picture_is_bypassed_and_replaced"
    ),
    "a new run that a person asked for is sent though it is an output": (
        "test_directed_replaced_pictures.py::test_a_delivered_output_is_sent_if_that_is_paid"
    ),
    "a word makes another picture": "test_directed_pictures.py::test_a_word_asks_for_a_new_run_once",
    "another shape is another picture": "test_directed_pictures.py::test_another_shape_is_another_picture",
    "a copy never takes the place of a newer output": (
        "test_directed_picture_names.py::test_a_copy_never_takes_the_place_of_a_newer_output"
    ),
    "the next version without an event is found": (
        "test_directed_missed_uploads.py::test_each_version_of_a_name_is_found"
    ),
    "few photos are no batch": "../unit/domain/test_batches.py::test_fewer_than_ten_photos_are_no_batch[9-0-False]",
    "of failed runs one that was charged is adopted": (
        "../unit/domain/test_decisions.py::test_of_failed_runs_one_that_was_charged_is_adopted"
    ),
    "budget: a refusal while unconfirmed": ("../unit/domain/test_job.py::test_a_refusal_returns_the_reservation"),
    "budget: kept for the unconfirmed request alone": (
        "test_directed_reserved.py::test_an_old_failure_told_again_lets_no_photo_through"
    ),
    "secret read again": ("../unit/services/test_callback.py::test_a_mismatch_reads_the_secrets_again"),
    "another account: none found": (
        "test_directed_account.py::test_none_found_by_another_accounts_key_is_no_proof[a run]"
    ),
    "what was rejected is not reused": ("test_directed_pictures.py::test_what_was_rejected_is_never_reused[a.jpg]"),
    "newest wins: one worker at a time": ("test_two_workers.py::test_the_newer_of_two_results_stays[True]"),
    "budget: a result is paid from its own request": (
        "test_directed_reserved.py::test_a_result_is_paid_from_its_own_request[cost told]"
    ),
    "late results are asked for": "test_directed_account.py::test_a_run_is_asked_for_a_week_before_it_is_given_up",
    "expired URLs are counted": "test_directed_outputs.py::test_a_photo_whose_urls_expire_for_ever_ends",
    "search for an existing run: clocks": (
        "test_directed_listing.py::test_a_run_is_found_whatever_the_list_is_like[honoured-a clock that is behind]"
    ),
    "adoption: the photo's URL quoted anew": (
        "test_directed_listing.py::test_a_url_that_was_quoted_anew_is_our_photos[no callback]"
    ),
    "adoption: another configuration": "test_directed_listing.py::test_a_run_of_another_configuration_is_not_adopted",
    "search for an existing run: what a server may have written otherwise": (
        "test_directed_listing.py::test_what_a_server_wrote_otherwise_is_never_taken_for_no[no callback-defaults]"
    ),
    "search for an existing run: a run of a callback that does not tell": (
        "test_directed_listing.py::test_a_run_of_a_callback_that_does_not_tell_is_asked_for"
    ),
    "adoption: the photo's URL rewritten": (
        "test_directed_listing.py::test_a_run_is_found_whatever_the_list_is_like[honoured-asset links]"
    ),
    "adoption: a submission that is unaccounted for": (
        "../unit/domain/test_decisions.py::test_whose_a_run_is_by_what_it_shows[changes31-Proof.FOREIGN]"
    ),
    "a failed run tried again: charged": (
        "test_directed_other_runs.py::test_a_failed_job_is_delivered_from_its_own_run"
    ),
    "a delivered job's earlier runs are asked for": (
        "test_directed_other_runs.py::test_a_delivered_jobs_earlier_run_is_counted[told-callback lost]"
    ),
    "a run that Runflow denied when its callback came: kept": (
        "test_directed_denied.py::test_a_run_denied_to_its_callback_is_delivered[the price]"
    ),
    "another account: a person is told of a run": (
        "test_directed_account.py::test_a_run_unknown_to_another_account_is_not_given_up"
    ),
    "a cancelled run that ends well: delivered": (
        "test_directed_cancelled.py::test_a_cancelled_run_that_ends_well_is_delivered[charged-callback]"
    ),
    "reopen: each request once": "test_directed_reopen.py::test_the_same_request_runs_once[1]",
    "reopen: a request of before it closed": ("test_directed_reopen.py::test_a_request_of_before_it_closed_is_refused"),
    "reopen: unpaid only where nothing was charged": (
        "test_directed_reopen.py::test_unpaid_is_refused_where_a_run_was_charged"
    ),
    "reopen: ask sends nothing": ("test_directed_reopen.py::test_ask_closes_as_before_where_nothing_is_there[charged]"),
    "reopen: what was paid stays counted": "test_directed_reopen.py::test_paid_replaces_a_delivered_output",
    "reopen: a result that is to be replaced is not used": (
        "test_directed_reopen.py::test_paid_replaces_a_delivered_output"
    ),
    "a run that cannot be read for a week is given up": (
        "test_directed_outages.py::test_a_longer_one_leaves_unclear_answers_to_a_person[9-delivered-1]"
    ),
    "a photo is not sent again once its picture is known": (
        "test_directed_picture_late.py::test_a_photo_is_not_sent_again_once_known[new-failed]"
    ),
    "a late result leaves what is known": (
        "test_directed_picture_late.py::test_of_two_results_one_is_enough[e.jpg-a.jpg-d.jpg-deleted]"
    ),
    "what was rejected does not come back": (
        "test_directed_picture_late.py::test_what_was_rejected_does_not_come_back"
    ),
    "what was replaced is not used for what is rejected": (
        "test_directed_picture_late.py::test_the_earlier_result_is_not_used_if_the_new_is_bad[a.jpg]"
    ),
    "another output's rejection does not count": (
        "test_directed_picture_late.py::test_another_photos_rejection_is_not_its_own"
    ),
    "reconcile: claimed before it is sent": (
        "test_directed_failing.py::test_a_photo_is_sent_again_though_its_last_read_failed"
    ),
    "paid and not yet stored": (
        "test_directed_callback_urls.py::test_a_passing_fault_of_s3_loses_no_callbacks_urls[put]"
    ),
    "an unconfirmed photo keeps its picture": (
        "test_directed_picture_late.py::test_an_equal_photo_waits_for_an_unclear_answer"
    ),
    "one record that cannot be read ends no search": (
        "test_directed_unreadable_runs.py::test_strangers_records_do_not_hide_our_run[ignored-1]"
    ),
    "a run that cannot be read is not given up earlier": (
        "test_directed_unreadable_runs.py::test_one_record_that_cannot_be_read_delays_no_other[2]"
    ),
    "search for an existing run: order checked": (
        "test_directed_listing.py::test_a_run_is_found_whatever_the_list_is_like[ignored-ascending]"
    ),
    "search for an existing run: a list that may not be read": (
        "test_directed_listing.py::test_runs_that_do_not_tell_are_asked_for_in_parts"
    ),
    "what detag delivered is not cleaned again": (
        "test_directed_pictures.py::test_an_output_that_is_fed_back_is_skipped_for_nothing"
    ),
    "what was taken back leaves no record": (
        "test_directed_records.py::test_a_record_of_what_was_taken_back_gives_way[delivered]"
    ),
    "nothing tells of what is no photo": (
        "test_directed_records.py::test_nothing_tells_of_what_is_no_photo[shop/._shoe.jpg]"
    ),
    "replaced under another name: removed": (
        "test_directed_outputs.py::test_a_newer_output_replaces_one_under_another_name"
    ),
}
"""By guard, the test in `tests/simulation`."""
