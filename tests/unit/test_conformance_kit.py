"""The conformance kit itself: its clauses share what they should, and each fails an adapter that breaks it."""

import ast
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chat_memory.exceptions import ChatMemoryError
from chat_memory.records import Budget
from chat_memory.storage.contract import CLAIM_LAPSES, Adapter, BranchStore
from chat_memory.storage.memory import MemoryAdapter
from chat_memory.testing import conformance
from chat_memory.testing.conformance import AdapterConformance, Kit
from chat_memory.testing.conformance.kit import at_once
from tests.unit import (
    broken_attachments as attachments,
    broken_changes as changes,
    broken_drafts as drafts,
    broken_feedback as feedback,
    broken_lists as lists,
    broken_owners as owners,
    broken_parts as broken,
    broken_syncing as syncing,
    broken_turns as turns,
)

pytestmark = pytest.mark.once

WRITERS = 8
ROUNDS = 30


class MemoryKit(Kit):
    """A kit that remembers the adapters it made."""

    made: list[Adapter]

    def make_adapter(self) -> Adapter:
        adapter = MemoryAdapter()
        self.made.append(adapter)
        return adapter


@pytest.fixture
def _hasty_threads() -> Iterator[None]:
    """Threads that interrupt each other at every step, as they rarely do by themselves."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty_threads")
def test_writers_who_are_the_first_to_ask_share_adapter_and_workspace() -> None:
    """From Python 3.12 on nothing locks a ``cached_property``, so each thread would have made its own."""
    for _round in range(ROUNDS):
        kit = MemoryKit()
        kit.made = []
        seen = at_once(*[lambda kit=kit: (kit.workspace, kit.adapter)] * WRITERS)
        assert len({workspace for workspace, _adapter in seen}) == 1
        assert [adapter for _workspace, adapter in seen] == kit.made * WRITERS


def test_each_clause_has_a_workspace_of_its_own() -> None:
    assert Kit().workspace != Kit().workspace


def clauses() -> Iterator[ast.FunctionDef]:
    """The clauses as they are written."""
    for path in Path(conformance.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All that is in a function but what is in the functions inside it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef):
            yield from own_nodes(child)


def test_no_clause_passes_by_returning_early() -> None:
    """What does not apply to an adapter is skipped, so that its author sees it."""
    found = list(clauses())
    assert len(found) > 150
    assert [clause.name for clause in found if any(isinstance(node, ast.Return) for node in own_nodes(clause))] == []


class MutantKit(AdapterConformance):
    """The clauses, for an adapter with a part that breaks one of them; None: for one that breaks none."""

    def __init__(self, kind: type[broken.BrokenPart] | None, *lacking: str) -> None:
        self.kind, self.lacking, self.passed = kind, lacking, timedelta()

    def make_adapter(self) -> Adapter:
        adapter = MemoryAdapter(clock=lambda: datetime.now(UTC) + self.passed)
        if self.kind:
            setattr(adapter, self.kind.part, self.kind(adapter))
        for part in self.lacking:
            setattr(adapter, part, None)
        return adapter

    def let_claims_lapse(self) -> None:
        self.passed += timedelta(seconds=CLAIM_LAPSES)

    def let_drafts_lapse(self) -> None:
        self.passed += timedelta(days=1)


def holds(kit: Kit, clause: str, *args: object) -> bool:
    """Whether the adapter of a kit keeps a clause."""
    try:
        getattr(kit, clause)(*args)
    except (AssertionError, pytest.fail.Exception, ChatMemoryError):
        return False
    return True


@pytest.mark.parametrize(
    ("clause", "lacking"),
    [
        ("test_a_fork_is_sent", ("branches",)),
        ("test_an_edit_is_sent", ("edits",)),
        ("test_a_summary_is_sent_when_it_is_kept", ("summaries",)),
        ("test_a_restore_is_sent", ("archive",)),
        ("test_a_branch_shows_the_summaries_of_what_it_shares", ("branches", "summaries")),
    ],
)
def test_a_clause_of_a_part_that_is_lacking_is_skipped_and_says_why(clause: str, lacking: tuple[str, ...]) -> None:
    for lacked in (lacking, lacking[:1]):
        with pytest.raises(pytest.skip.Exception, match=f"MemoryAdapter lacks .*{lacked[0]}"):
            getattr(MutantKit(None, *lacked), clause)()
    assert holds(MutantKit(None, *lacking), "test_a_part_is_there_or_named_as_lacking", BranchStore)


def test_an_adapter_that_changes_several_sessions_may_not_say_otherwise() -> None:
    kit = MutantKit(None)
    kit.changes_several = False
    with pytest.raises(pytest.skip.Exception, match="changes_several"):
        kit.test_several_sessions_are_written_together()
    assert not holds(kit, "test_several_sessions_are_refused_where_the_class_says_so")


MUTANTS: list[tuple[type[broken.BrokenPart], str, tuple[object, ...]]] = [
    (broken.WindowsWithoutSystem, "test_window_takes_whole_turns_and_the_system_messages", ("a turn",)),
    (broken.WindowsOfOneMore, "test_window_takes_whole_turns_and_the_system_messages", ("one token less",)),
    (broken.WindowsOfOneMore, "test_window_of_a_long_history", ("messages", True)),
    (broken.WindowsBeyondClear, "test_window_shows_nothing_that_is_cleared", (Budget(turns=2),)),
    (broken.ReadsAllForSystem, "test_system_messages_are_read_apart", ()),
    (broken.LocatesTheHidden, "test_locate_finds_a_visible_message", ()),
    (broken.TitlesEveryAppend, "test_a_title_that_is_set_stays", ()),
    (broken.TitlesEveryAppend, "test_no_title_comes_once_a_turn_has_begun", ()),
    (broken.TitlesEveryAppend, "test_a_first_append_brings_the_title", ()),
    (syncing.ForgetsEdits, "test_a_reader_is_told_what_says_something_else", ()),
    (syncing.VoidsNothing, "test_a_reader_is_told_that_a_position_has_another_message", ()),
    (syncing.VoidsNothing, "test_a_reader_is_told_of_a_clear", ()),
    (syncing.VoidsNothing, "test_a_reader_is_told_of_a_switch", ()),
    (syncing.VoidsNothing, "test_a_reader_of_another_conversation_begins_anew", ()),
    (syncing.BeginsAnewEachTime, "test_a_reader_is_told_what_is_new", ()),
    (syncing.BeginsAnewEachTime, "test_a_reader_who_holds_nothing_is_told_all", ()),
    (syncing.ForgetsWhatIsGone, "test_a_reader_of_a_list_is_told_what_changed_and_what_is_gone", ()),
    (syncing.WaitsForNothing, "test_a_pending_branch_becomes_current_with_its_first_message", ()),
    (syncing.MakesOneForEachClick, "test_one_branch_is_pending_for_another_answer", ()),
    (syncing.TakesEveryBranchForAnAlternative, "test_alternatives_follow_the_same_messages", ()),
    (broken.ForksEverything, "test_a_fork_shares_what_there_is_up_to_a_position", ()),
    (broken.ForksOnlyTheKnown, "test_a_fork_of_an_unknown_conversation_makes_it", ()),
    (broken.ForksInTwoSteps, "test_append_racing_a_fork_with_a_switch", ()),
    (broken.ForksWithoutLock, "test_concurrent_forks_of_one_name_create_one_branch", ()),
    (broken.SwitchesMainToo, "test_a_switch_makes_another_branch_current", ()),
    (broken.VersionsGoBack, "test_the_version_of_a_conversation_never_goes_back", ()),
    (broken.ClearsEveryBranch, "test_clear_hides_from_its_branch_alone", ()),
    (broken.DeletesWhatOthersShare, "test_a_branch_that_others_share_stays", ()),
    (broken.RollsNothingBack, "test_several_branches_are_written_together_or_not_at_all", ()),
    (broken.RollsNothingBack, "test_a_refusal_takes_every_session_back", ()),
    (broken.RollsNothingBack, "test_several_appends_of_which_one_is_refused_are_not_sent", ()),
    (broken.ListsByLastChange, "test_listing_is_by_last_activity", ()),
    (lists.ListsByKeyAlone, "test_listing_by_owner", ()),
    (lists.ListsBeyondBytes, "test_listing_within_bytes", ()),
    (lists.ListsFromTheWrongEnd, "test_listing_within_bytes", ()),
    (lists.WindowsBeyondBytes, "test_window_within_a_size", ()),
    (lists.CutsInSilence, "test_window_within_a_size", ()),
    (broken.SkipsEqualTimes, "test_pages_neither_skip_nor_repeat", (1,)),
    (broken.ForgetsRevisions, "test_former_content_is_kept", ()),
    (broken.ForgetsRevisions, "test_edits_at_once_are_each_kept", ()),
    (broken.EditsWithoutMovingTheOthers, "test_an_edit_is_seen_on_every_branch_that_shares_the_message", ()),
    (broken.EditsEverything, "test_an_edit_changes_what_it_may_alone", ()),
    (broken.EditsBeforeItAsks, "test_an_edit_whose_content_is_refused_changes_nothing", ()),
    (broken.EditsBeforeItAsks, "test_an_edit_is_of_the_message_as_it_is_stored", ()),
    (broken.EditsBeforeItAsks, "test_an_edit_is_sent", ()),
    (changes.RemembersRevisions, "test_a_redaction_takes_former_contents_along", ()),
    (changes.RemembersRevisions, "test_what_is_said_in_its_place_has_no_former_contents", ()),
    (changes.RedactsAgain, "test_a_redacted_message_takes_no_other_words", ()),
    (changes.RedactsAgain, "test_a_retry_of_a_redacted_message_is_a_replay", ()),
    (changes.RedactsAgain, "test_a_redaction_is_sent_once_for_each_branch_that_shows_the_message", ()),
    (changes.RemembersSummaries, "test_summaries_of_an_edited_message_are_made_anew", ()),
    (changes.RemembersSummaries, "test_summaries_of_a_redacted_message_are_made_anew", ()),
    (changes.RemembersSummaries, "test_a_claim_on_a_message_that_changes_is_lost", ()),
    (changes.RemembersSummaries, "test_a_message_that_is_popped_takes_its_summary_along", ()),
    (changes.RemembersTitles, "test_a_title_that_was_made_of_an_edited_message_is_made_anew", ()),
    (changes.RemembersTitles, "test_a_title_that_was_made_of_a_redacted_message_is_emptied", ()),
    (changes.RemembersTitles, "test_a_message_that_is_popped_takes_its_title_along", ()),
    (changes.PopsWithoutTaking, "test_pop_takes_the_newest_message_off", ()),
    (changes.PopsWithoutTaking, "test_no_two_poppers_get_one_message", ()),
    (changes.PopsByClearing, "test_what_is_popped_leaves_no_gap", ()),
    (changes.PopsByClearing, "test_a_pop_is_sent", ()),
    (owners.ReadsForEverybody, "test_a_session_of_somebody_else_is_refused", ()),
    (owners.ReadsForEverybody, "test_ids_of_an_earlier_answer_do_not_help", ()),
    (owners.ReadsForEverybody, "test_a_clients_key_reads_as_unknown_to_others", ()),
    (owners.WritesForEverybody, "test_a_branch_of_somebody_else_is_refused", ()),
    (owners.WritesForEverybody, "test_one_of_several_users_gets_a_new_key", ()),
    (owners.WritesForEverybody, "test_what_is_nobodys_is_reached_by_all_until_it_is_somebodys", ()),
    (owners.WritesForEverybody, "test_a_clients_key_yields_to_the_first_write", ("append",)),
    (owners.RefusesTheOwner, "test_the_owner_and_who_reaches_all_are_served", ()),
    (owners.ForgetsWhoChoseTheKey, "test_writers_of_both_at_once", ()),
    (owners.ForgetsWhoChoseTheKey, "test_the_new_key_fits_and_is_free", ()),
    (owners.ForgetsWhoChoseTheKey, "test_branches_go_with_a_session_that_yields", ()),
    (owners.ForgetsWhoChoseTheKey, "test_a_clients_key_yields_to_what_is_restored", ()),
    (owners.TakesEveryKeyForAClients, "test_a_session_is_told_apart_by_who_chose_its_key", ()),
    (owners.ReadsPastItsPin, "test_a_pinned_address_means_one_session_alone", ()),
    (owners.WritesPastItsPin, "test_a_pinned_address_means_one_session_alone", ()),
    (broken.GivesClaimsToAll, "test_a_claim_is_held_until_it_is_used", ()),
    (broken.GivesClaimsToAll, "test_a_claim_that_is_released_may_be_taken_at_once", ()),
    (broken.KeepsWhatLapsed, "test_a_claim_lapses_by_itself", ()),
    (broken.KeepsWhatLapsed, "test_one_of_several_concurrent_claims_is_given", ()),
    (broken.KeepsWhatLapsed, "test_cleared_messages_have_no_summary", ()),
    (broken.NeverLapses, "test_a_claim_lapses_by_itself", ()),
    (broken.ShowsEverySummary, "test_a_branch_shows_the_summaries_of_what_it_shares", ()),
    (broken.CoversOneMore, "test_a_summary_covers_all_but_the_newest", ()),
    (broken.RestoresInPieces, "test_a_refused_conversation_does_not_affect_the_others", ()),
    (broken.RestoresInPieces, "test_a_restore_is_sent", ()),
    (attachments.StoresEveryTime, "test_the_same_bytes_are_stored_once", ()),
    (attachments.ReachesEverything, "test_a_conversation_reaches_its_own_attachments_alone", ()),
    (attachments.ShowsTheHidden, "test_what_clear_has_hidden_is_not_reached", ()),
    (attachments.MakesSessions, "test_an_unknown_session_takes_no_attachment", ()),
    (attachments.KeepsForEver, "test_an_attachment_goes_with_the_last_message", ()),
    (attachments.KeepsForEver, "test_what_is_held_for_a_message_goes_with_its_conversation", ()),
    (attachments.KeepsForEver, "test_a_former_content_keeps_what_it_refers_to", ()),
    (attachments.KeepsForEver, "test_a_branch_keeps_what_it_shares", ()),
    (attachments.LetsDangle, "test_a_message_may_not_refer_to_what_is_not_there", ()),
    (attachments.LetsDangle, "test_an_edit_may_not_refer_to_what_is_not_there", ()),
    (attachments.LetsDangle, "test_no_workspace_sees_the_attachments_of_another", ()),
    (feedback.CountsEveryVote, "test_a_person_has_one_verdict_on_a_message", ()),
    (feedback.CountsEveryVote, "test_a_verdict_that_is_given_again_changes_nothing", ()),
    (feedback.CountsEveryVote, "test_several_who_vote_at_once_are_all_counted", ()),
    (feedback.MovesVersions, "test_feedback_moves_no_version", ()),
    (feedback.TellsUsersByKeys, "test_users_are_told_apart_by_their_ids_and_others_by_their_keys", ()),
    (feedback.ShowsMainAlone, "test_feedback_is_on_every_branch_that_shares_the_message", ()),
    (feedback.IgnoresPages, "test_pages_are_in_the_order_of_the_messages", ()),
    (feedback.SumsOfEverything, "test_sums_are_of_one_workspace_and_of_a_time", ()),
    (feedback.RemembersComments, "test_a_redaction_takes_the_words_and_keeps_the_votes", ()),
    (drafts.Repeats, "test_a_reader_gets_what_came_since", ()),
    (drafts.MovesVersionsByPieces, "test_a_draft_moves_no_version_until_its_end", ()),
    (drafts.HearsNoStop, "test_a_stop_reaches_the_writer", ()),
    (drafts.ForgivesTheLost, "test_a_writer_that_lost_its_draft_is_told", ()),
    (drafts.SettlesTheLiving, "test_only_what_nobody_writes_to_lapses", ()),
    (drafts.AppendsInstead, "test_a_draft_comes_in_the_place_of_the_newest_partial_message", ()),
    (drafts.AppendsInstead, "test_nothing_else_is_replaced", ()),
    (drafts.FollowsTheCurrentBranch, "test_a_draft_stays_on_its_branch_and_goes_with_it", ()),
    (drafts.LosesTheRefused, "test_what_is_refused_at_the_end_leaves_the_draft", ()),
    (drafts.RemembersDrafts, "test_a_redaction_takes_the_draft_that_goes_on_from_the_message", ()),
    (drafts.RemembersDrafts, "test_a_pop_takes_the_draft_that_goes_on_from_the_message", ()),
    (drafts.ForgetsTheTurn, "test_a_draft_of_a_turn_becomes_a_message_of_it", ()),
    (drafts.ForgetsTheTurn, "test_who_lost_the_right_to_a_turn_neither_begins_nor_ends_a_draft_of_it", ()),
    (drafts.ForgetsTheTurn, "test_the_draft_of_a_turn_that_nobody_answers_is_stored_in_it", ()),
    (drafts.ForgetsTheTurn, "test_in_a_turn_a_partial_message_need_not_be_the_newest", ()),
    (drafts.AnswersNoTurn, "test_a_turn_whose_draft_broke_off_is_not_answered", ()),
    (turns.GivesToAll, "test_a_turn_that_is_taken_is_not_given_twice", ()),
    (turns.GivesToAll, "test_of_several_callers_one_answers", ()),
    (turns.GivesToAll, "test_an_answered_question_is_not_answered_again", ()),
    (turns.LeasesForEver, "test_a_lease_that_lapsed_gives_the_turn_to_the_next", ()),
    (turns.StoresUnderTheNewest, "test_an_answer_stands_with_its_question_in_every_window", ()),
    (turns.StoresUnderTheNewest, "test_a_window_ends_with_the_turn_it_is_to_end_with", ()),
    (turns.StoresUnderTheNewest, "test_what_is_read_in_order_of_position_says_its_turn", ()),
    (turns.StoresUnderTheNewest, "test_a_repeated_append_is_a_replay_whatever_it_says", ()),
    (turns.LetsTheLostAppend, "test_a_lease_that_lapsed_gives_the_turn_to_the_next", ()),
    (turns.LetsTheLostAppend, "test_who_is_interrupted_appends_no_more_and_what_was_stored_stays", ()),
    (turns.LetsTheLostAppend, "test_a_question_that_is_taken_off_takes_its_turn_along", ()),
    (turns.LetsTheLostAppend, "test_a_removed_conversation_takes_its_turns_along", ()),
    (turns.LetsTheLostAppend, "test_an_append_renews_the_lease", ()),
    (turns.AnswersOnTheCurrentBranch, "test_a_question_is_found_on_its_branch_whichever_is_current", ()),
    (turns.NeverInterrupts, "test_who_is_interrupted_appends_no_more_and_what_was_stored_stays", ()),
    (turns.AnswersBeside, "test_alone_refuses_beside_another_question_and_stores_nothing", ()),
    (turns.NeverGivesUp, "test_a_turn_that_is_given_up_can_be_taken", ()),
    (turns.NeverGivesUp, "test_turns_that_are_being_answered_are_told", ()),
    (turns.RenewsByAVersion, "test_rights_move_no_version", ()),
    (broken.SendsTwice, "test_the_append_that_makes_a_session_is_sent", ()),
    (broken.SendsTwice, "test_a_later_append_is_sent", ()),
    (broken.SendsTwice, "test_a_clear_is_sent", ()),
    (broken.SendsTwice, "test_each_change_of_several_writers_is_sent_once", ()),
    (broken.SendsWhatChangesNothing, "test_what_changes_nothing_is_not_sent", ()),
    (broken.SendsWhatChangesNothing, "test_what_is_refused_is_not_sent", ()),
]


@pytest.mark.parametrize(
    ("kind", "clause", "args"), MUTANTS, ids=[f"{kind.__name__} {clause}" for kind, clause, _args in MUTANTS]
)
def test_a_clause_fails_an_adapter_that_breaks_it(
    kind: type[broken.BrokenPart], clause: str, args: tuple[object, ...]
) -> None:
    assert holds(MutantKit(None), clause, *args)
    assert not holds(MutantKit(kind), clause, *args)
