"""Learning curves of several networks as a table."""

from astropy.table import Table

from skyloom.learn import learning_curves


def history(errors, measure="error"):
    epochs = range(1, len(errors) + 1)
    return Table({"epoch": list(epochs), "val_loss": [2 * value for value in errors], measure: errors})


def cells(text, name):
    header, row = (
        next(line for line in text.splitlines() if line.startswith(f"| {start} |")) for start in ("network", name)
    )
    return dict(zip(*([cell.strip() for cell in line.split("|")[1:-1]] for line in (header, row)), strict=True))


def test_errors_stand_under_the_passes_that_led_to_them():
    ours, published = history([0.5, 0.25, 0.2, 0.1, 0.125]), history([0.9, 0.6])
    text = learning_curves.as_markdown([("source_net", ours), ("resnet18", published)])
    assert cells(text, "source_net") == {
        "network": "source_net", "1": "0.5000", "2": "0.2500", "4": "0.1000", "5": "0.1250", "least": "0.1000"
    }  # fmt: skip
    assert cells(text, "resnet18") == {
        "network": "resnet18", "1": "0.9000", "2": "0.6000", "4": "", "5": "", "least": "0.6000"
    }  # fmt: skip


def test_of_classifiers_the_largest_accuracy_is_the_best():
    text = learning_curves.as_markdown([("windnet", history([0.5, 0.9, 0.8], "accuracy"))])
    assert text.startswith("Accuracy on the validation set")
    assert cells(text, "windnet")["largest"] == "0.9000"
