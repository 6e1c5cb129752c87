from __future__ import annotations

from plc.status import StatusBoard


def test_a_state_is_said_once_and_again_when_it_changes() -> None:
    board = StatusBoard(simulated=True)
    board.note("S03", "StateCurrent", "Execute", 5)
    board.note("S03", "ProdProcessedCount", 3, 6)
    [state] = board.states()
    assert (state.state, state.processed_count, state.at_ns, state.simulated) == ("Execute", 3, 6, True)
    board.note("S03", "ProdProcessedCount", 4, 7)
    assert board.states() == []
    board.note("S03", "StateCurrent", "Held", 8)
    board.note("S03", "StopReason", "web break", 8)
    [state] = board.states()
    assert (state.state, state.stop_reason, state.processed_count) == ("Held", "web break", 4)


def test_a_word_that_packml_does_not_know_and_an_unknown_status_change_nothing() -> None:
    board = StatusBoard(simulated=False)
    board.note("S03", "StateCurrent", "Execute", 1)
    board.states()
    board.note("S03", "StateCurrent", "Dancing", 2)
    board.note("S03", "Mood", "good", 3)
    assert board.states() == []


def test_a_station_without_a_state_yet_is_not_said() -> None:
    board = StatusBoard(simulated=False)
    board.note("S04", "CurMachSpeed", 1.0, 1)
    assert board.states() == []
