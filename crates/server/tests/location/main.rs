//! What every location store has to do, run on each of them; then what the one that survives does beyond that.

mod damage;
mod kill;
mod measure;
mod sqlite;
mod stores;
mod suite;

/// The properties of the suite as tests of one store, which is made empty for each.
macro_rules! suite_on {
    ($store:ident: $($property:ident)*) => {
        mod $store {
            $(
                #[test]
                fn $property() {
                    crate::stores::$store(crate::suite::$property);
                }
            )*
        }
    };
}

/// The suite on these stores.
macro_rules! suite_on_each {
    ([$($store:ident)*] $properties:tt) => {
        $(suite_on_each!(@ $store $properties);)*
    };
    (@ $store:ident [$($property:ident)*]) => {
        suite_on!($store: $($property)*);
    };
}

suite_on_each! {
    [in_memory on_disk shared_with_others]
    [
        a_record_is_read_as_it_was_committed
        who_did_not_see_the_last_version_changes_nothing
        a_removed_record_is_absent_and_its_versions_are_void
        of_many_commits_on_one_version_exactly_one_holds
        an_answer_comes_to_its_caller_when_the_record_can_be_read
        who_is_told_of_a_conflict_reads_what_was_not_seen
        commits_of_many_lose_nothing
        what_others_commit_is_read_here
        who_watches_is_told_of_every_change_whoever_made_it
        records_are_visited_part_by_part
        records_grow_and_shrink
        what_is_too_long_is_refused
        every_record_is_listed_once
        a_sweep_removes_what_has_expired_and_says_whose_it_was
        a_binding_leaves_when_it_ends_and_the_others_stay
        what_was_refreshed_is_not_swept
        what_ends_earlier_than_before_is_swept_then
        a_sweep_says_when_to_come_again
        a_clock_that_goes_back_loses_nothing
    ]
}
