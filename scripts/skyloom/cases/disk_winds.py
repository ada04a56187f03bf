"""Discs with winds: which protoplanetary discs show dust lifted by a wind?"""

KINDS = {
    "disc_wind": 0.38,
    "smooth_disc": 0.09,
    "ringed_disc": 0.07,
    "spiral_disc": 0.10,
    "binary": 0.09,
    "irregular_envelope": 0.09,
    "streamer_disc": 0.04,
    "jet_knots": 0.08,
    "calibrator": 0.03,
    "empty_field": 0.03,
}
KEYWORDS = (
    "Low-mass star formation",
    "Intermediate-mass star formation",
    "Outflows, jets, feedback",
    "Outflows, jets and ionized winds",
    "Inter-stellar medium (ISM)/Molecular clouds",
)
OTHER_KEYWORDS = ("Debris disks", "Asymptotic Giant Branch (AGB) stars", "Starburst galaxies", "Exo-planets")
# Centres [deg] of star-forming regions that ALMA sees, and how far around them we put targets
REGIONS = ((246.8, -24.4), (277.5, -2.0), (68.5, 19.5), (167.0, -77.0), (241.5, -39.0), (84.0, -6.0), (285.5, -37.0))
SPREAD = 2.0


def draw_target(index, rng, settings, wanted):
    """Draw what field `index` of the embedded archive was proposed for (a `skyloom.sky.fields.Target`).

    `wanted` says whether its keywords are among those that the case searches for; `settings.kinds` replace our weights.
    """
    from ..sky.fields import Target, draw_kind, draw_position

    ra, dec = draw_position(rng, REGIONS, SPREAD)
    keywords = rng.choice(KEYWORDS if wanted else OTHER_KEYWORDS, size=1 + (rng.random() < 0.3), replace=False)
    kind = draw_kind(KINDS, index, settings.kinds)
    return Target(f"SIM_{index:04d}", kind, ra, dec, tuple(str(keyword) for keyword in keywords))


def draw_sky(kind, rng, width):
    """Draw the sky (a `skyloom.sky.fields.Field`) around a target of this kind, for an image `width` beams wide."""
    from ..sky import protostars

    return protostars.draw_field(kind, rng, width)
