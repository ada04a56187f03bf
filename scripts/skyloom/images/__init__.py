"""Images: FITS in, cutouts and network input out."""

VIEWS = ("native", "scaled", "wide")
"""The cutouts of an object, in the order of the network's channels."""
