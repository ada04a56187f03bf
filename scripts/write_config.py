"""Write the resolved configuration beside the results: every key, defaults included, as the run used it."""

from skyloom.cli import run, say, step_parser


def main(argv=None):
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--config", required=True, help="the resolved configuration as JSON text")
    parser.add_argument("--output", required=True, help="YAML file to write")
    args = parser.parse_args(argv)

    import json

    import yaml

    from skyloom.errors import UserError
    from skyloom.files import written_whole

    try:
        config = json.loads(args.config)
    except ValueError as error:
        raise UserError(f"--config: not valid JSON ({error}); pass the configuration as JSON text.") from error
    with written_whole(args.output) as part:
        part.write_text("# The configuration that made the results beside this file.\n" + yaml.safe_dump(config))
    say(f"wrote {args.output}: {len(config['cases'])} cases")


if __name__ == "__main__":
    run(main)
