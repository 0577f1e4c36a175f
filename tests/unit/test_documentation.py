"""The README and docs/: links lead somewhere, commands have options that exist. tests/e2e/test_docs.py runs them."""

import re

import click
import pytest
from documentation import NOT_RUN, commands, inline_commands, pages, program_of


def anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_lead_to_a_file_and_a_heading(root):
    broken = []
    for page in [*pages(root), root / "CONTRIBUTING.md", root / "CHANGELOG.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8")):
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            if not file.exists() or (anchor and anchor not in anchors(file.read_text("utf-8"))):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def test_every_page_is_linked_from_the_readme(root):
    text = (root / "README.md").read_text("utf-8")
    assert [page.name for page in pages(root)[1:] if f"(docs/{page.name})" not in text] == []


def test_a_page_begins_with_what_the_reader_can_do(root):
    starts = {page.name: page.read_text("utf-8").split("\n\n")[1] for page in pages(root)[1:]}
    del starts["glossary.md"]
    assert [name for name, start in starts.items() if not start.startswith("After this page you")] == []


def test_every_command_has_options_that_exist(root, monkeypatch):
    """Parse every command without running it, also those that can't run here and those within sentences."""
    monkeypatch.setattr(click.Command, "invoke", lambda *_: None)
    known, failed = commands(root), []
    for command in [*known, *inline_commands(root)]:
        if found := program_of(command):
            program, arguments = found
            try:
                program.main(arguments, standalone_mode=False)
            except (click.exceptions.NoArgsIsHelpError, click.MissingParameter):
                assert command not in known, command  # within a sentence, a command may stand by its name alone
            except click.ClickException as error:
                failed.append(f"{command.page}: {command.text}: {error.format_message()}")
    assert failed == []
    assert len(known) > 40


@pytest.mark.parametrize("part", NOT_RUN)
def test_every_reason_for_not_running_a_command_is_needed(root, part):
    assert any(part in command.text for command in commands(root))
