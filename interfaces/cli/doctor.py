"""`foldline doctor`: checks the installation and suggests fixes."""

from __future__ import annotations

import typer

from interfaces.cli.options import DATABASE_SETTINGS, JsonOption, with_settings
from interfaces.cli.output import print_json
from interfaces.settings import Settings


@with_settings(*DATABASE_SETTINGS, logs=False)
def doctor(*, settings: Settings, as_json: JsonOption = False) -> None:
    """Check the installation and suggest fixes.

    Checks this machine, the settings and the database. Exits 1 on a failure; warnings do not count. Changes nothing,
    except that the embedded database is created and started if needed, which is one of the checks.
    """
    from interfaces.cli.doctor_checks import run_checks

    checks = run_checks(settings)
    healthy = all(check.status != "fail" for check in checks)
    if as_json:
        print_json({"ok": healthy, "checks": [check._asdict() for check in checks]})
    else:
        for check in checks:
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.status]
            status = typer.style(f"{check.status:<4}", fg=colour)
            typer.echo(f"{status}  {check.name:<16}  {check.found}")
            if check.advice:
                typer.echo(f"{'':<24}-> {check.advice}")
    if not healthy:
        raise typer.Exit(1)
