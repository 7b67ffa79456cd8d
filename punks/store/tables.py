"""The tables of a store. In PostgreSQL they lie in a schema of their own, in SQLite in the file.

A schema of its own meets no table of the same name, and Supabase does not publish it over HTTP.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "punks"
METADATA = MetaData(schema=SCHEMA)
_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

VERSIONS = Table("versions", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))

# a training, by the name of its variant or of its LoRA
RUNS = Table(
    "runs",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("base", Text),
    Column("parameters", _JSON, nullable=False),  # as `punks inspect` reads them
    Column("failed", Boolean),
    Column("verdict", Text),
    Column("stored_at", DateTime(timezone=True), server_default=func.now()),
)

# an epoch of it, with the scores of the last comparison of epochs or variants that was stored
EPOCHS = Table(
    "epochs",
    METADATA,
    Column("run", Text, ForeignKey(RUNS.c.name), primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("checkpoint", Text),
    Column("bytes", BigInteger),
    Column("comparison", Text),  # its folder
    Column("pictures", Integer),
    Column("points", Float),
    Column("measures", _JSON),
    Column("recommended", Boolean),
    Column("difference", Float),  # in points to the recommended one
    Column("luck", Float),  # the chance that luck alone explains it
    Column("rating", Float),
    Column("stored_at", DateTime(timezone=True), server_default=func.now()),
)

PICTURES = Table(
    "pictures",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("folder", Text, index=True),  # None: painted by the service
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),  # its file; of the service the name that its answer gives
    Column("run", Text, ForeignKey(RUNS.c.name)),  # None: painted without LoRA
    Column("epoch", Integer),
    Column("prompt", Text, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("recipe", _JSON, nullable=False),
    Column("finish", _JSON, nullable=False),
    Column("cells", Text, nullable=False),  # the same for the same 24x24 cells
    Column("image_sha256", Text, nullable=False),
    Column("pixels_sha256", Text, nullable=False),
    Column("palette", _JSON, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("stages", _JSON, nullable=False),  # seconds of each
    Column("warnings", Text, nullable=False),
    Column("stored_at", DateTime(timezone=True), server_default=func.now()),
    ForeignKeyConstraint(["run", "epoch"], [EPOCHS.c.run, EPOCHS.c.epoch]),
)


def _picture() -> Column[str]:
    return Column("picture", Text, ForeignKey(PICTURES.c.key, ondelete="CASCADE"), primary_key=True)


# what `punks compare` measured of a picture
SCORES = Table(
    "scores",
    METADATA,
    _picture(),
    Column("points", Float, nullable=False),
    Column("measures", _JSON, nullable=False),
    Column("read", _JSON, nullable=False),
    Column("asked", _JSON, nullable=False),
)

# what people think of a picture: keep or reject, and a rating from 0 to 10
PICKS = Table("picks", METADATA, _picture(), Column("choice", Text), Column("rating", Float))
