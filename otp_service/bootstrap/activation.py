"""What a version of the policy activates in this process: upstream accounts and what sends over each channel.

Knows which secrets a policy names, and whether this process has them. Must not know how a version is found.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from otp_service.bootstrap.configuration import Configuration, read_configuration
from otp_service.bootstrap.secrets_needed import missing_from, missing_secrets
from otp_service.errors import ConfigurationError
from otp_service.policy import Policy, Upstream
from otp_service.policy.active import ActivePolicy
from otp_service.policy.limited import LimitedParser
from otp_service.policy.versions import Version
from otp_service.settings import Settings
from otp_service.upstream.mobtexting import AccountSettings, Batcher, MobtextingClient
from otp_service.upstream.port import ChannelSender


def configure(environment: Mapping[str, str]) -> Configuration:
    """Read settings and policy file, and check that they fit. Raises ConfigurationError with all problems."""
    return read_configuration(environment, misfits)


def misfits(loaded: Policy, read: Settings | None, environment: Mapping[str, str]) -> Iterator[str]:
    """List the secrets that a policy names and this process lacks; `read` is None without valid settings."""
    if read is None:
        yield from missing_from(environment, loaded)
        return
    yield from missing_secrets(
        loaded, tokens=read.upstream_tokens, events=read.event_secrets, captcha=read.captcha_secret
    )
    yield from _account_problems(loaded, read.upstream_tokens)


@dataclass
class Activation:
    """Builds what a version of the policy needs. An account that did not change keeps its connections."""

    configuration: Configuration
    threads: int
    _clients: dict[AccountSettings, MobtextingClient] = field(default_factory=dict)
    _limited: LimitedParser = field(default_factory=LimitedParser)

    def check(self, text: str) -> Policy:
        """Parse a text from anyone in a child process with limits; the result is a policy that this process can run.

        Raises ConfigurationError, Busy.
        """
        return self._fitting(self.configuration.known(text) or self._limited.parse(text))

    def activate(self, version: Version) -> ActivePolicy:
        """Build what a version needs. Raises ConfigurationError if this process cannot run it."""
        return self.build(self._fitting(self.configuration.parse(version.text)), version.number)

    def _fitting(self, loaded: Policy) -> Policy:
        _refuse(misfits(loaded, self.configuration.settings, {}))
        return loaded

    def build(self, loaded: Policy, number: int) -> ActivePolicy:
        """Build what a checked policy needs."""
        tokens = self.configuration.settings.upstream_tokens
        accounts = {
            name: _account(upstream, tokens[upstream.token_env], self.threads)
            for name, upstream in loaded.upstreams.items()
        }
        # A send may still hold a client that is dropped here: its connections end with the last send.
        self._clients = {a: self._clients.get(a) or MobtextingClient(a) for a in accounts.values()}
        clients = {name: self._clients[account] for name, account in accounts.items()}
        return ActivePolicy(
            version=number, policy=loaded, senders=_senders(loaded, clients), accounts=clients
        )

    def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            client.close()


def _refuse(problems: Iterable[str]) -> None:
    if found := list(problems):
        raise ConfigurationError(found)


def _account_problems(loaded: Policy, tokens: Mapping[str, str]) -> Iterator[str]:
    for upstream in loaded.upstreams.values():
        if token := tokens.get(upstream.token_env):
            try:
                _account(upstream, token, 1)
            except ValueError as error:
                yield f"policy: upstream.{upstream.name}: {error}"


def _account(upstream: Upstream, token: str, threads: int) -> AccountSettings:
    return AccountSettings(
        name=upstream.name,
        base_url=upstream.base_url,
        token=token,
        auth=upstream.auth,
        balance_paths=upstream.balance_paths,
        connect_timeout=upstream.connect_timeout,
        total_timeout=upstream.total_timeout,
        pool_size=threads,
        **{f"{call}_path": path for call, path in upstream.paths.items()},  # type: ignore[arg-type]
    )


def _senders(loaded: Policy, clients: Mapping[str, MobtextingClient]) -> dict[tuple[str, str], ChannelSender]:
    """Return what sends over each channel that each account has."""
    found: dict[tuple[str, str], ChannelSender] = {}
    for name, upstream in loaded.upstreams.items():
        client = clients[name]
        if upstream.sms:
            found["sms", name] = Batcher(client, upstream.sms, size=upstream.sms.batch)
        if upstream.whatsapp:
            found["whatsapp", name] = partial(client.send_whatsapp, settings=upstream.whatsapp)
        if upstream.voice:
            found["voice", name] = partial(client.send_voice, settings=upstream.voice)
        if upstream.rcs:
            found["rcs", name] = partial(client.send_rcs, settings=upstream.rcs)
        if upstream.mip:
            found["mip", name] = partial(client.send_mip, settings=upstream.mip)
    return found
