from pathlib import Path

from icpo_cli.runs.journal import START, Journal, JournalEntry


def steps(entries: list[JournalEntry]) -> list[int]:
    return [entry.step for entry in entries]


def test_a_half_written_line_of_the_journal_is_dropped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(JournalEntry(1, 0, {"loss": 1.0}))
    with journal.path.open("a") as file:
        file.write('{"step": 2, "time_ms": 0, "metr')
    assert [entry.step for entry in journal.entries()] == [1]
    journal.truncate(1)
    journal.append(JournalEntry(2, 0, {"loss": 2.0}))
    assert [entry.step for entry in journal.entries()] == [1, 2]


def test_reading_goes_on_where_it_ended_and_begins_again_after_a_rewrite(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.read_from(START) == ([], START)
    for step in (1, 2):
        journal.append(JournalEntry(step, 0, {"loss": 1.0}))
    entries, position = journal.read_from(START)
    assert steps(entries) == [1, 2]
    with journal.path.open("a") as file:
        file.write('{"step": 3, "time_ms": 0, ')
    entries, position = journal.read_from(position)
    assert entries == []
    with journal.path.open("a") as file:
        file.write('"metrics": {}}\n')
    entries, position = journal.read_from(position)
    assert steps(entries) == [3]
    journal.truncate(2)
    assert steps(journal.read_from(position)[0]) == [1, 2]
