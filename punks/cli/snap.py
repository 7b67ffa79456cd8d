"""`punks snap`: pictures made elsewhere -> exact pixel art."""

import argparse

from punks.cli.finish import declare_files
from punks.cli.options import output_path


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.description = "Restore pictures made elsewhere to exact 24x24 pixel art."
    parser.add_argument("-o", "--output", type=output_path, required=True, metavar="X", help="file or folder to write")
    parser.add_argument("--json", action="store_true", help="print one JSON object a picture")
    declare_files(parser)
