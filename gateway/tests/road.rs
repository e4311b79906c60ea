//! The road of a message, from the door to the reader and back, in one process: a gateway with real stores, its clock
//! standing still. Each scenario runs on SQLite and on PostgreSQL.
//!
//! What leaves is looked at in the queue, what readers get in the vault; the reader's side is written out here once more,
//! from SEALING.md, so that what the gateway says about itself isn't all that is believed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)]

#[path = "road/account.rs"]
mod account;
#[path = "road/audit.rs"]
mod audit;
#[path = "road/bench.rs"]
mod bench;
#[path = "road/circles.rs"]
mod circles;
#[path = "road/codes.rs"]
mod codes;
#[path = "road/conversations.rs"]
mod conversations;
#[path = "road/encrypted.rs"]
mod encrypted;
#[path = "road/endings.rs"]
mod endings;
#[path = "road/enrolment.rs"]
mod enrolment;
#[path = "road/interrupted.rs"]
mod interrupted;
#[path = "road/leaving.rs"]
mod leaving;
#[path = "road/mail.rs"]
mod mail;
#[path = "road/messages.rs"]
mod messages;
#[path = "road/openpgp.rs"]
mod openpgp;
#[path = "road/passphrase.rs"]
mod passphrase;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "road/reader.rs"]
mod reader;
#[path = "road/recovery.rs"]
mod recovery;
#[path = "road/registration.rs"]
mod registration;
#[path = "road/replies.rs"]
mod replies;
#[path = "road/reply.rs"]
mod reply;
#[path = "road/resending.rs"]
mod resending;
#[path = "road/returns.rs"]
mod returns;
#[path = "road/sign_in.rs"]
mod sign_in;
#[path = "road/straight.rs"]
mod straight;

macro_rules! scenarios {
    ($($room:ident: $($name:ident),+ $(,)?;)+) => {
        mod on_sqlite {
            $(mod $room {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    crate::$room::$name(crate::bench::Road::sqlite().await).await;
                })+
            })+
        }

        /// One server for all of them; each has a database of its own.
        #[tokio::test(flavor = "multi_thread")]
        async fn on_postgres() {
            let server = postgres::Postgres::start();
            $($(
                println!("{}", stringify!($name));
                $room::$name(bench::Road::postgres(&server, stringify!($name)).await).await;
            )+)+
        }
    };
}

scenarios! {
    audit:
        a_letters_life_is_recorded_in_order_and_without_content,
        what_strangers_repeat_is_recorded_once_in_an_hour,
        an_administrators_orders_are_recorded,
        nothing_changes_without_its_record;
    endings:
        an_unread_letter_ends_at_its_date_and_its_sender_is_told,
        an_opened_letter_ends_silently,
        the_job_running_twice_at_once_tells_once,
        each_reader_has_an_end_of_their_own,
        a_withdrawn_pickup_leaves_the_others_their_way_in,
        a_withdrawn_letter_ends_for_all,
        what_is_withdrawn_is_not_announced;
    codes:
        a_code_is_bound_to_session_and_pickup,
        three_mails_in_fifteen_minutes_then_the_newest_code_for_five_more_sessions,
        a_code_in_the_mailbox_serves_nobody_after_ten_minutes,
        ten_mails_a_day,
        strangers_get_an_answer_that_looks_the_same,
        a_typed_address_finds_all_living_letters,
        typed_addresses_leave_codes_for_the_link,
        what_is_not_there_takes_as_long,
        an_errand_answered_before_a_crash_gets_the_same_code;
    resending:
        once_in_five_minutes_and_five_times_a_day,
        nothing_is_resent_after_the_letter_was_opened,
        a_receipt_counts_for_its_own_letter_only;
    leaving:
        a_reply_leaves_in_whole_lines_whatever_was_written,
        sealing_encrypting_and_passing_leave_whole_lines;
    replies:
        a_reply_arrives_as_ordinary_mail,
        a_reply_counts_once,
        what_is_not_believed_sends_nothing,
        fifty_replies_a_day,
        an_ended_letter_has_no_voice;
    conversations:
        only_the_sender_and_colleagues_may_write_to_a_reply_address,
        automatic_mail_to_a_reply_address_is_dropped,
        a_colleagues_answer_is_a_letter_of_the_colleague,
        a_mail_that_names_an_earlier_one_joins_its_conversation,
        an_answer_to_all_is_one_letter_for_all,
        reply_addresses_do_not_leave;
    circles:
        readers_who_see_each_other_share_a_letter_and_others_do_not,
        what_a_reader_sees_has_one_time_whoever_else_reads,
        each_recipient_goes_its_own_way,
        one_refused_recipient_refuses_the_message;
    encrypted:
        who_sees_each_other_shares_a_copy_and_hidden_ones_leave_no_trace,
        a_wish_for_openpgp_is_kept_or_refused,
        a_key_that_ends_before_it_is_used_sends_nothing,
        a_null_senders_unsent_message_is_told_to_the_postmaster,
        best_holds_where_the_key_is_gone_or_never_was,
        what_the_sender_encrypted_passes_and_what_claims_to_be_does_not,
        an_answer_to_a_reply_address_stays_in_the_portal,
        what_was_encrypted_is_in_the_audit;
    messages:
        unreadable_mime_is_sealed_whole,
        a_message_id_without_an_end_keeps_nothing_waiting,
        more_than_fifty_hops_are_a_loop,
        without_a_sender_inside_nothing_is_held;
    interrupted:
        a_second_attempt_replaces_what_the_first_left_in_the_vault,
        who_comes_late_to_the_vault_changes_nothing,
        the_sweep_takes_old_letters_that_nobody_knows,
        the_postmaster_is_told_of_a_message_that_stays;
    sign_in:
        the_passphrase_signs_in_and_no_other,
        unknown_addresses_get_the_same_answers_in_the_same_time,
        a_half_done_sign_in_is_used_once_and_within_two_minutes,
        many_tries_at_once_do_not_get_past_the_counter,
        a_right_passphrase_forgives,
        strangers_lock_nobody_out_and_a_broken_portal_is_bounded,
        registrations_are_no_way_round_the_counter,
        messages_of_any_length_are_refused;
    registration:
        what_a_portal_answers_itself_is_not_the_gateways;
    recovery:
        another_passphrase_takes_the_place_of_the_first,
        a_sign_in_that_began_before_the_change_ends_nowhere,
        who_died_between_the_stores_locks_nobody_out,
        a_recovery_code_needs_a_mailed_one,
        a_stranger_spends_everything_and_the_readers_letter_leads_back,
        a_letters_code_that_serves_another_session_speaks_for_it_too,
        a_shared_code_is_the_same_after_a_crash,
        codes_for_accounts_go_to_enrolled_mailboxes_only,
        a_reset_account_is_nobodys_and_its_address_can_enrol_anew;
    returns:
        a_report_of_a_failure_marks_the_letter_and_tells_the_sender,
        delays_and_chatter_change_nothing,
        a_refused_notification_is_told_once_and_without_the_link,
        a_returned_notification_of_a_read_letter_changes_nothing;
    enrolment:
        a_reader_enrols_and_those_concerned_are_told,
        what_a_portal_exchanges_is_not_believed,
        of_two_at_once_one_counts,
        asked_again_after_a_crash_nothing_happens_twice,
        what_a_crash_leaves_in_the_vault_counts_nothing,
        a_registration_is_good_for_an_hour_and_the_letter_must_live,
        letters_whose_link_is_kept_are_taken_along,
        garbage_instead_of_a_key_packet_destroys_nothing,
        garbage_does_not_take_the_place_of_what_the_gateway_wraps,
        a_withheld_key_packet_keeps_the_link,
        from_the_pin_on_only_signatures_count,
        after_a_reset_an_old_enrolment_cannot_be_played_again;
    straight:
        the_next_letter_needs_no_link,
        links_and_accounts_share_one_ciphertext,
        not_enrolled_is_nothing_a_portal_can_claim,
        a_damaged_pin_keeps_mail_waiting,
        notifications_without_a_secret_are_sent_again_until_the_letter_was_opened,
        codes_are_minted_for_letters_of_accounts_too,
        an_end_destroys_what_the_account_opens,
        a_signed_reply_says_so,
        enrolled_while_a_letter_was_sealed;
}
