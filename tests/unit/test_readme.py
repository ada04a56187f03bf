"""The README shows what the standard run measured, and its commands and links exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("case", re.findall(r"<!-- (\w+):begin -->", README))
def test_scores_are_those_that_the_rule_wrote(case):
    shown = README.split(f"<!-- {case}:begin -->")[1].split(f"<!-- {case}:end -->")[0].strip()
    assert len(shown.splitlines()) > 5
    assert shown in (ROOT / f"docs/measured/{case}.md").read_text(), "make publish"


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^    make ([a-z-]+)", README, re.M)) <= targets
