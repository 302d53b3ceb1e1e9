"""What an operator's command works on: how it is opened, and closed when the command ends.

Knows the terminal. Must not know any single command.
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from otp_service.bootstrap.configuration import read_configuration
from otp_service.bootstrap.foundation import Foundation
from otp_service.bootstrap.operations import Operations
from otp_service.cli.options import demo_option, environment
from otp_service.cli.refusals import refusals_shown
from otp_service.errors import ConfigurationError, StoreUnavailable
from otp_service.telemetry import logs

Options = ParamSpec("Options")
Base = TypeVar("Base", bound=Foundation)


def open_base(open_: Callable[[Mapping[str, str]], Base]) -> Base:
    """Open what a command works on. Raises WrongOption, and ConfigurationError with a hint if settings are missing."""
    given = environment()
    try:
        return open_(given)
    except ConfigurationError as error:
        if given is os.environ and any(" is required: " in problem for problem in error.problems):
            error.add_note("For a running demo, add --demo var. For a deployment, see docs/settings.md.")
        raise


def working_on(
    open_: Callable[[Mapping[str, str]], Base],
) -> Callable[[Callable[Concatenate[Base, Options], int | None]], Callable[Options, int | None]]:
    """Return a decorator that opens what a command works on, and adds `--demo`.

    The command gets what `open_` makes of the settings. A refusal is printed and ends the command with exit code 1.
    """

    def decorate(act: Callable[Concatenate[Base, Options], int | None]) -> Callable[Options, int | None]:
        @demo_option
        @refusals_shown
        @wraps(act)
        def opened(*arguments: Options.args, **options: Options.kwargs) -> int | None:
            base = open_base(open_)
            try:
                with logs.acts_logged(sys.stderr):
                    return act(base, *arguments, **options)
            except StoreUnavailable as error:
                if error.detail != StoreUnavailable.detail:
                    raise
                away = f"The store at {base.settings.store_address} does not answer."
                raise StoreUnavailable(away) from error
            finally:
                base.close()

        return opened

    return decorate


on_store = working_on(lambda given: Operations(read_configuration(given), role="operator"))
"""For a command that needs nothing but the store."""
