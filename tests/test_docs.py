"""Documents say what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lamella.cli import VERBS, parser
from lamella.roles import ROLES
from line import events
from line.config import described

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")


def commands_in(text: str) -> list[str]:
    return re.findall(r"^(lamella [^#\n]*)", text, re.MULTILINE)


@pytest.mark.parametrize("command", [*commands_in(README), *(example for verb in VERBS for example in verb.examples)])
def test_every_command_shown_is_one_that_exists(command: str) -> None:
    parser().parse_args(command.split()[1:])


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: " ".join(verb.words))
def test_every_verb_stands_in_the_readme(verb: object) -> None:
    words = " ".join(verb.words)  # type: ignore[attr-defined]
    listed = re.sub(r"(\w+)\|(\w+)", r"\1", README)
    assert f"lamella {words}" in README or f"lamella {words}" in listed, f"lamella {words} is not in README.md"


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([a-z]+/[\w./-]+)`", ARCHITECTURE))))
def test_every_place_that_architecture_names_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_architecture_stays_a_map() -> None:
    assert len(ARCHITECTURE.splitlines()) < 110


def test_the_readme_names_every_role() -> None:
    assert not [role for role in ROLES if role != "replay" and role not in README]


def test_every_defect_and_verdict_word_of_the_wires_is_in_the_glossary() -> None:
    words = ["verdict", "killer", "drawn", "lane", "overhang", "strip", "layer", "cell", "roll", "recipe", "reason"]
    rows = {row.split("|")[1].strip() for row in GLOSSARY.splitlines() if row.startswith("| ")}
    assert not [word for word in words if word not in rows]


def test_every_event_class_says_what_it_is() -> None:
    assert not [kind.__name__ for kind in events.EVENT_TYPES if not (kind.__doc__ or "").strip().endswith(".")]


def test_every_decision_says_what_why_and_what_follows() -> None:
    for page in (ROOT / "decisions").glob("0*.md"):
        text = page.read_text(encoding="utf-8")
        assert all(f"**{part}.**" in text for part in ("Decided", "Why", "Follows")), page.name


def test_the_settings_that_readme_sets_exist() -> None:
    assert set(re.findall(r"--set ([\w.]+)=", README)) <= set(described())


def test_no_file_names_this_machine_or_a_registry_host() -> None:
    """Sources speak of the project alone."""
    hosts = re.compile(r"pypi\.org|files\.pythonhosted|registry\.npmjs|deb\.debian\.org")
    texts = [path for folder in ("line", "plc", "vision", "twin", "plant", "models", "lamella", "scripts", ".ci")
             for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md", ".toml", ".sh", ""}
             and path.is_file() and "node_modules" not in path.parts]  # fmt: skip
    assert not [path for path in texts if hosts.search(path.read_text(encoding="utf-8", errors="ignore"))]
