"""Fine-tune the network for maps on few labelled fields of another survey, and measure it on other fields of it.

Writes one row for the original network, the fine-tuned one, and the one fine-tuned with augmentation: accuracy,
precision and false negatives of fields by the mean probability R, whose threshold is chosen on the labelled fields, and
the overlap of pixels (CSV, Markdown with the learning rates that were tried).
"""

from skyloom.cases import hook
from skyloom.cli import progress, run, say, step_parser

SIDE = 192
"""Of the tiles [networks' pixel], at most."""


def main(argv=None):
    """Simulate the survey, fine-tune, measure, and write the tables."""
    parser = step_parser(__doc__, section="fine_tuning", seed=True)
    parser.add_argument("--all-settings", help="simulate, search and fine_tuning settings of the case (JSON)")
    parser.add_argument("--model", required=True, help="the network for maps (.keras)")
    parser.add_argument("--instruments", default="resources", help="their folder (default: %(default)s)")
    parser.add_argument("--table", required=True, help="one row a network (CSV)")
    parser.add_argument("--text", required=True, help="the same for people (Markdown)")
    args = parser.parse_args(argv)

    from skyloom.config.load import parts_settings

    settings = parts_settings(args.case, ("simulate", "search", "fine_tuning"), args.all_settings)
    tuning, search = settings.fine_tuning, settings.search

    from skyloom.learn import backend

    backend.start(search.threads)

    from skyloom.errors import UserError
    from skyloom.files import write_table, written_whole
    from skyloom.learn import field_examples, field_search, field_tables, fine_tuning, store
    from skyloom.learn.datasets import joined
    from skyloom.learn.running import Stages
    from skyloom.seeds import generator

    keys = (args.seed, args.case, "fine_tune")
    drawn = hook(args.case, "fine_tuning_fields")
    fields = {
        part: list(
            progress(drawn(settings, part, args.seed, args.instruments), getattr(tuning, part), f"{part} fields")
        )
        for part in ("labelled", "test")
    }
    truth = {
        part: hook(args.case, "truth_table")([{"cube": number, **row} for number, _, rows in some for row in rows])
        for part, some in fields.items()
    }
    scaled = field_search.scaled(fields["labelled"][0][1], search)
    side = min(SIDE, -(-min(scaled.image.shape) // field_search.STEP) * field_search.STEP)
    made = [
        field_examples.tiles(field, search, side, 2, generator(*keys, "tiles", number), f"field_{number:03d}")
        for number, field, _ in fields["labelled"]
    ]
    held = [one for one in made[: max(1, len(made) // 4)] if one]
    rest = [one for one in made[max(1, len(made) // 4) :] if one]
    if not held or not rest:
        raise UserError("the labelled fields give no tiles; raise `fine_tuning.labelled`.")
    training, validation = joined(rest), joined(held)
    say(f"{len(training)} tiles to learn from, {len(validation)} to choose by")

    original = store.load_model(args.model)
    trials, networks = [], {"original": (original, None, None)}
    for name, augment in (("fine-tuned", False), ("fine-tuned, augmented", True)):
        tried = []
        for rate in tuning.learning_rates:
            network, loss = fine_tuning.fine_tuned(
                original, training, validation, tuning, rate, augment, search.stretch, keys
            )
            tried.append((loss, rate, network))
            trials.append((name, rate, loss))
            say(f"{name} at {rate:g}: validation loss {loss:.4f}")
        loss, rate, network = min(tried, key=lambda entry: entry[0])
        networks[name] = (network, rate, loss)

    results = {}
    for name, (network, rate, loss) in networks.items():
        tables = {}
        for part, some in fields.items():
            rows = []
            for number, field, _ in some:
                found = field_search.search_field(field, {"map": network}, search, Stages({}))
                rows += [{"cube": number, **row} for row in field_tables.with_truth(found, field.mask)]
            tables[part] = field_tables.detection_table(rows)
        threshold = fine_tuning.threshold_of(truth["labelled"], tables["labelled"], search.purity)
        random = generator(*keys, "measure")
        measured = fine_tuning.measured(
            truth["test"], tables["test"], threshold, search.level, search.confidence, random
        )
        results[name] = measured | {"learning_rate": rate, "validation_loss": loss}
        say(
            f"{name}: accuracy {measured['accuracy']['value'] or 0:.3f}, false negatives "
            f"{measured['false_negatives']['value'] or 0:.3f}, IoU {measured['iou']['value'] or 0:.3f}"
        )
    table = fine_tuning.table(results)
    write_table(args.table, table)
    survey, frozen = tuning.survey, fine_tuning.frozen_layers(original, tuning.trained)
    of = len([layer for layer in original.layers if layer.weights])
    about = (
        f"{len(fields['test'])} fields of another survey ({survey.array}, {survey.frequency:g} MHz, beam of "
        f"{survey.beam:g} arcsec); {len(fields['labelled'])} other fields of it have labels: they are learnt from, "
        f"{frozen} of {of} layers being frozen, and choose thresholds. In brackets: intervals at "
        f"{search.confidence:.0%} confidence."
    )
    with written_whole(args.text) as aside:
        aside.write_text(fine_tuning.as_markdown(table, trials, about))


if __name__ == "__main__":
    run(main)
