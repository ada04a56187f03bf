"""The README and docs/scores.md show what the standard run measured, and commands and links exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
SCORES = (ROOT / "docs/scores.md").read_text()
CASES = re.findall(r"<!-- (\w+):begin -->", SCORES)


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_that_the_rule_wrote(case):
    shown = SCORES.split(f"<!-- {case}:begin -->")[1].split(f"<!-- {case}:end -->")[0].strip()
    assert len(shown.splitlines()) > 5
    assert shown in (ROOT / f"docs/measured/{case}.md").read_text(), "make publish"


def test_make_publish_writes_every_page_of_scores():
    lines = (ROOT / "Makefile").read_text().split("\npublish:")[1].split("\n\n")[0]
    assert set(re.findall(r"docs/measured/(\w+)\.md", lines)) == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_the_readme_s_numbers_of_a_case_are_on_its_page(case):
    (row,) = re.findall(rf"^\| \[?`{case}`.*$", README, re.M)
    numbers = re.findall(r"\d+\.\d+", row.split(" | ")[-1])
    assert numbers
    page = (ROOT / f"docs/measured/{case}.md").read_text()
    assert [number for number in numbers if number not in page] == []


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^    make ([a-z-]+)", README, re.M)) <= targets
