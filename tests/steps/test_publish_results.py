import importlib

import pytest

from skyloom.errors import UserError

ALL = "# Name\n\n<!-- one:begin -->\nold\n<!-- one:end -->\n\n<!-- two:begin -->\nkept\n<!-- two:end -->\nthe end\n"


def publish(folder, name="one"):
    (folder / "all.md").write_text(ALL)
    (folder / "scores.md").write_text("scores\n")
    (folder / "peers.md").write_text("| peers |\n")
    (folder / "figure.png").write_bytes(b"picture")
    words = ["--name", name, "--shown", folder / "peers.md", "--page", folder / "scores.md", folder / "peers.md"]
    words += ["--figure", folder / "figure.png", "--scores", folder / "all.md"]
    words += ["--page-copy", folder / "docs/one.md", "--figure-copy", folder / "images/one.png"]
    importlib.import_module("publish_results").main([str(word) for word in words])


def test_the_table_page_and_figure_are_copied_and_nothing_else_changes(tmp_path):
    publish(tmp_path)
    assert (tmp_path / "all.md").read_text() == ALL.replace("old", "| peers |")
    assert (tmp_path / "docs/one.md").read_text() == "scores\n\n| peers |\n"
    assert (tmp_path / "images/one.png").read_bytes() == b"picture"


def test_a_page_alone_is_written_too(tmp_path, capsys):
    (tmp_path / "ablation.md").write_text("| variants |\n")
    words = ["--page", tmp_path / "ablation.md", "--page-copy", tmp_path / "docs/ablation.md"]
    main = importlib.import_module("publish_results").main
    main([str(word) for word in words])
    assert (tmp_path / "docs/ablation.md").read_text() == "| variants |\n"
    with pytest.raises(SystemExit):
        main([*(str(word) for word in words), "--name", "one"])
    assert "go together" in capsys.readouterr().err


def test_a_page_without_the_place_is_left_as_it_is(tmp_path):
    with pytest.raises(UserError, match=r"all.md: has no line `<!-- other:begin -->`"):
        publish(tmp_path, "other")
    assert (tmp_path / "all.md").read_text() == ALL
    assert not (tmp_path / "docs").exists()
