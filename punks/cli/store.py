"""`punks store`: bring results into a database, and export them in the owner's tables."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from punks.cli.options import add_store, output_path, store_url
from punks.cli.terminal import printable, say
from punks.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Engine


def declare(parser: argparse.ArgumentParser) -> None:
    """Declares both actions and their options."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    about = "bring the folders of batches, studios and comparisons into a database; what is there already stays"
    bring = actions.add_parser("import", help=about, description=f"{about[0].upper()}{about[1:]}.")
    bring.add_argument("folders", nargs="+", type=output_path, metavar="DIR", help="a folder that punks made")
    bring.set_defaults(parser=bring, run=_import)
    about = "write training_runs, epoch_results, test_prompts, prompt_test_results and user_generations as CSV and JSON"
    export = actions.add_parser("export", help=about, description=f"{about[0].upper()}{about[1:]}.")
    export.add_argument("-o", "--output", type=output_path, required=True, metavar="DIR", help="folder for the files")
    export.set_defaults(parser=export, run=_export)
    for action in (bring, export):
        add_store(action)


def _import(args: argparse.Namespace) -> int:
    """0 when all is in the store, 1 when something could not be read."""
    return _with(args, lambda engine: _bring(engine, args.folders))


def _bring(engine: "Engine", folders: list[Path]) -> int:
    from punks.batch.manifest import NAME
    from punks.store.folder import StoredFolder

    failed = False
    for folder in folders:
        stored = StoredFolder(folder)
        if not (folder / NAME).is_file():
            faults = [f"{folder}: no {NAME}; name the folder of a batch, a studio or a comparison"]
        else:
            faults = stored.sync(engine)
            print(printable(f"{folder}: {stored.count(engine)} pictures"))
        for line in faults:
            say(line)
        failed |= bool(faults)
    return 1 if failed else 0


def _export(args: argparse.Namespace) -> int:
    def write(engine: "Engine") -> int:
        from punks.store.export import export

        for name, count in export(engine, args.output).items():
            print(printable(f"{args.output / name}: {count} rows"))
        return 0

    return _with(args, write)


def _with(args: argparse.Namespace, do: "Callable[[Engine], int]") -> int:
    """Does it with the database. Raises StoreError where that is away."""
    given = store_url(args) or args.parser.error("name a database with --store, or in PUNKS_STORE")
    from sqlalchemy.exc import SQLAlchemyError

    from punks.store.database import connect, make_url, reason, shown

    url = make_url(given)
    try:
        engine = connect(url)
        try:
            return do(engine)
        finally:
            engine.dispose()
    except SQLAlchemyError as error:
        raise StoreError(f"{shown(url)}: {reason(error)}; run the same command again when it is back") from error
