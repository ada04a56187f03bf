"""The README shows what the standard run measured, and its commands and links exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_scores_are_those_that_the_rule_wrote():
    shown = README.split("<!-- scores:begin -->")[1].split("<!-- scores:end -->")[0].strip()
    assert shown == (ROOT / "docs/measured/disk_winds.md").read_text().strip(), "make publish"


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_make_targets_of_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"^    make ([a-z-]+)", README, re.M)) <= targets
