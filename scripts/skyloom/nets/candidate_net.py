"""Our own network that says what a candidate is: a residual network that reads the moments of its cutouts."""

from keras import Input, Model, layers

TASK = "value"


def build(input_shape: tuple[int], outputs: int = 1, width: int = 96, blocks: int = 3, dropout: float = 0.2) -> Model:
    """Return the network.

    Parameters
    ----------
    input_shape : tuple of int
        (numbers,): what `skyloom.learn.patch_search.Candidates.inputs` gives, all of order one.
    outputs : int
        Numbers that are given, such as a value and its log variance, or logits.
    width : int
        Numbers in each residual block.
    blocks : int
    dropout : float
        Share of the numbers that is left out in training.

    Returns
    -------
    keras.Model
        From (n, numbers) to (n, outputs), of any value.

    Notes
    -----
    A source has the shape of the point spread function, which is known. What cutouts in several bands have to say of it
    is in their products with Gauss-Hermite functions (shapelets, Refregier 2003, arXiv:astro-ph/0105178), taken around
    its very place rather than around a pixel, at the scale of each band. The residual blocks (He et al. 2016,
    arXiv:1603.05027) begin as the identity.
    """
    moments = Input(input_shape, name="moments")
    x = layers.Dense(width, name="stem")(moments)
    for number in range(1, blocks + 1):
        name = f"block_{number}"
        y = layers.Activation("silu", name=f"{name}_silu_1")(x)
        y = layers.Dense(width, activation="silu", name=f"{name}_dense_1")(y)
        y = layers.Dropout(dropout, name=f"{name}_dropout")(y)
        y = layers.Dense(width, kernel_initializer="zeros", name=f"{name}_dense_2")(y)
        x = layers.Add(name=f"{name}_sum")([x, y])
    x = layers.Activation("silu", name="silu")(x)
    x = layers.Dense(outputs, dtype="float32", name="value")(x)
    return Model(moments, x, name="candidate_net")
