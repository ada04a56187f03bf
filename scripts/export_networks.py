"""Export a network of a chain for LiteRT, for maps of the size that the search has, and check it.

Simulated observations go through the search with the chain's networks; what this network is given there, and what it
gives, is compared with what LiteRT makes of it.
"""

from skyloom.cases import hook
from skyloom.cli import run, say, step_parser, step_settings


def main(argv=None):
    """Export the network and compare both."""
    parser = step_parser(__doc__, section="search")
    parser.add_argument("--models", nargs="+", required=True, help="ROLE=FILE of the chain's networks (.keras)")
    parser.add_argument("--role", required=True, help="role of the network that is exported")
    parser.add_argument("--observations", required=True, help="simulated ones (HDF5) of simulate.py")
    parser.add_argument("--count", type=int, default=32, help="observations that are compared (default: %(default)s)")
    parser.add_argument("--output", required=True, help="the network (.tflite)")
    args = parser.parse_args(argv)
    settings = step_settings(args)

    from skyloom.learn import backend

    backend.start(settings.threads)

    from itertools import islice

    from skyloom.errors import UserError
    from skyloom.files import sha256, written_whole
    from skyloom.learn import chains, running, runtimes, store

    files = chains.chain_files(args.models, [*hook(args.case, "searching_roles")(), args.role])
    networks = {role: store.load_model(path) for role, path in files.items()}
    watched = networks[args.role] = running.Watched(networks[args.role])
    search = hook(args.case, "search_observation")
    for _, observation in islice(hook(args.case, "store")().read(args.observations), args.count):
        search(observation, networks, settings, {})
    if not watched.images:
        raise UserError(f"{args.observations}: has nothing for the network `{args.role}`; give other observations.")
    images, wanted = watched.seen()
    content = runtimes.as_litert(watched.network, images.shape[1:], sha256(files[args.role]))
    runner = runtimes.litert_runner(content, settings.threads, args.output)
    difference = runtimes.difference(runner, images, wanted)
    if not difference <= runtimes.CLOSE:
        raise UserError(
            f"{files[args.role]}: LiteRT differs from Keras by {difference:.1e} of the largest output, and "
            f"{runtimes.CLOSE:.0e} is allowed; use this network with Keras."
        )
    with written_whole(args.output) as part:
        part.write_bytes(content)
    say(f"{args.output}: differs from Keras by {difference:.1e} of the largest output at most ({len(images)} images)")


if __name__ == "__main__":
    run(main)
