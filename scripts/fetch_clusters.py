"""Fetch the list of the Planck clusters (PSZ2) from VizieR and write it as a list that searches take (ECSV).

One row a cluster: name, position, redshift, M500, and its R500 on the sky where redshift and mass are known.
"""

from skyloom.cli import run, say, step_parser


def main(argv=None) -> None:
    """Run the step."""
    parser = step_parser(__doc__)
    parser.add_argument("--server", default="https://vizier.cds.unistra.fr", help="VizieR (default: %(default)s)")
    parser.add_argument("--timeout", default="60 s", help="longest silence of the network (default: %(default)s)")
    parser.add_argument("--output", required=True, help="the list of clusters (ECSV)")
    args = parser.parse_args(argv)

    import numpy as np
    from astropy.table import MaskedColumn
    from pydantic import ValidationError

    from skyloom.archive.planck import planck_clusters
    from skyloom.config.schema import Download, in_unit
    from skyloom.errors import UserError
    from skyloom.files import write_table
    from skyloom.sky.cluster_lists import angular_r500

    try:
        timeout = in_unit(Download(timeout=args.timeout).timeout, "s")
    except ValidationError as error:
        raise UserError("--timeout should be a time such as `60 s`.") from error
    table = planck_clusters(args.server, timeout)
    pairs = zip(table["mass"].filled(np.nan), table["redshift"].filled(np.nan), strict=True)
    r500 = np.ma.masked_invalid([angular_r500(mass, redshift) for mass, redshift in pairs])
    table["r500"] = MaskedColumn(np.ma.round(r500, 4), unit="arcmin")
    write_table(args.output, table)
    say(f"{args.output}: {len(table)} clusters, {int((~r500.mask).sum()) if len(table) else 0} with R500")


if __name__ == "__main__":
    run(main)
