"""The plan, the failures and the summary of a run, for people."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pyinfra.api.host import Host
from rich.console import Console

from commandline import targets
from commandline.results import HostResult, RunResult, split_name
from commandline.screen.given import Given
from commandline.screen.outcome import outcome_table, outside_line
from commandline.screen.words import count, duration
from operations.base import notes
from operations.base.check import Check
from operations.gateway import form
from toolkit.settings import Settings, settings_for
from toolkit.terminal import said

LOOPBACK = ("127.0.0.1", "::1")
BOT_TOKEN = "TELEGRAM_BOT_TOKEN"
"""The variable from which OpenClaw's Telegram channel takes its token."""

NO_FORWARDING = """\
  Tunnel      refused: the host's sshd forwards nothing to 127.0.0.1:{port} (AllowTcpForwarding,
              DisableForwarding, PermitOpen, or the key's options). To allow it, as root there:
              echo AllowTcpForwarding local >/etc/ssh/sshd_config.d/00-openclaw.conf
              systemctl reload ssh   (what else may refuse: docs/hosts.md, A tunnel to the gateway)
"""


class Report:
    """Writes a run's outcome to a console."""

    def __init__(self, console: Console, errors: Console, given: Given | None = None) -> None:
        self.console, self.errors = console, errors
        self.given = given or Given()

    def command(self, verb: str, *words: str, hosts: Iterable[str] | None = None) -> str:
        """Return a command line that repeats what was given."""
        return self.given.command(verb, *words, hosts=hosts)

    def plan(self, result: RunResult) -> None:
        """Print what would change, host by host and stage by stage."""
        for name, host in result.hosts.items():
            if host.failed:
                # A dry run's errors follow at once.
                why = "" if result.dry else f": {host.failed}"
                self._line(f"{name}: left out{why}", "bold red")
                if not result.dry:
                    self._problems(host, self._line)
                continue
            if not host.planned:
                self._line(f"{name}: nothing to change", "green")
                continue
            self._line(f"{name}: {count(len(host.planned), 'operation')} would change it", "bold")
            if host.settings:
                self._line("  Settings since the last deploy")
            for change in host.settings:
                before, after = (self._value(change[side]) for side in ("from", "to"))
                self._line(f"    {change['key']}: {before} → {after}", "yellow")
            stage = None
            for full_name in host.planned:
                own_stage, operation = split_name(full_name)
                if own_stage != stage:
                    stage = own_stage
                    self._line(f"  {stage}")
                self._line(f"    + {operation}", "yellow")
            for note in host.notes:
                self._line(f"      {self.given.completed(note, name)}")

    def _value(self, value: Any) -> str:
        return "none" if value is None else json.dumps(value, ensure_ascii=False)

    def failures(self, result: RunResult) -> None:
        """Print everything that went wrong, and the command that tries those hosts again."""
        if result.error:
            self.errors.print(said(f"Error: {result.error}", "bold red"), soft_wrap=True)
        for name, host in result.hosts.items():
            if not host.failed:
                continue
            self._error(f"{name}: {host.failed}", "bold red")
            self._problems(host, self._error)
            for line in () if result.interrupted is not None else host.output:
                self._error(f"    | {line}", "dim")
        failed = [name for name, host in result.hosts.items() if host.failed]
        waiting = [name for name, host in result.hosts.items() if host.state == "not attempted"]
        if (failed or result.error) and result.untouched and result.interrupted is None:
            self._error("Nothing was changed on any host.")
        if len(result.hosts) == 1:
            return
        total = f"of {len(result.hosts)} hosts"
        if failed:
            self._error(f"Failed: {', '.join(failed)} ({len(failed)} {total})")
        if waiting:
            self._error(f"Not attempted: {', '.join(waiting)} ({len(waiting)} {total})")
            for reason in dict.fromkeys(result.hosts[name].left_out for name in waiting):
                self._error(f"    {reason}")
        if failed or waiting:
            # A dry run leaves no word of whom it could not look at.
            named = result.dry or not self.given.provisions
            again = [*failed, *waiting] if named else [targets.FAILED]
            self._error(f"Try just those again: {self.command(self.given.verb, hosts=again)}")

    def _problems(self, host: HostResult, say: Callable[[str, str], None]) -> None:
        for problem in host.problems:
            say(f"    {problem['what']}", "red")
            say(f"        fix: {problem['fix']}", "")

    def interruption(self, result: RunResult) -> None:
        """Print what was going on when the run was interrupted."""
        running = "; ".join(result.interrupted or []) or "nothing was running"
        self._error(f"Interrupted. Running were: {running}", "bold yellow")
        self._error(f"Run it again to finish: {self.command(self.given.verb)}")

    def summary(self, result: RunResult, hosts: list[Host]) -> None:
        """Print what changed and where to go next; of several hosts a table."""
        if not self.given.provisions:
            self._outcome(result)
            return
        if len(hosts) > 1:
            self._fleet(result, hosts)
            return
        for host in hosts:
            own = result.hosts[host.name]
            if own.failed or own.left_out:
                continue
            total = result.phases.get("total", 0.0)
            if own.changed:
                self._line(
                    f"{host.name}: {count(len(own.changed), 'operation')} changed it "
                    f"({duration(total)})",
                    "bold green",
                )
                stages = [
                    f"{stage['name'] or 'other'} {duration(stage['seconds'])}"
                    for stage in result.stages()
                    if stage["host"] == host.name and stage["changed"]
                ]
                self._line(f"  Changed     {', '.join(stages)}")
                self._swapped(own.outcome)
            else:
                self._line(f"{host.name}: nothing to change ({duration(total)})", "bold green")
            self._engine(host)
            self._verification(host)
            self._outside({host.name: own})
            self._sandboxes(host)
            self._next_steps(host, settings_for(host))

    def _outcome(self, result: RunResult) -> None:
        """Print what a verb that changes something of a deployment says of each host."""
        for name, own in result.hosts.items():
            if own.failed or own.left_out:
                continue
            if not own.changed:
                self._line(f"{name}: nothing to change", "bold green")
                continue
            self._line(f"{name}: done ({duration(own.seconds)})", "bold green")
            for line in own.outcome:
                self._line(f"  {self.given.completed(line, name)}")
            self._outside({name: own})

    def _fleet(self, result: RunResult, hosts: list[Host]) -> None:
        wide = None if self.console.is_terminal else 240  # nothing to fold for
        self.console.print(outcome_table(result), width=wide)
        for host in hosts:
            found = notes.of(host)
            bad = any(check.outcome != "ok" for check in found.checks)
            outcome = result.hosts[host.name].outcome
            if not (bad or found.warnings or found.stale or outcome):
                continue
            self._line(host.name, "bold")
            self._swapped(outcome)
            self._warnings(found.warnings)
            self._bad(found.checks)
            self._sandboxes(host)
        self._outside(result.hosts, indent="")
        self._line(f"Status      {self.command('status')}")
        self._line(f"Token       {self.command('token')}")

    def _swapped(self, outcome: Iterable[str]) -> None:
        """Print how the rehearsal of another image went, and for how long no gateway served."""
        for line in outcome:
            word, _, rest = line.partition(": ")
            self._line(f"  {word.capitalize():11} {rest}")

    def timeline(self, result: RunResult) -> None:
        """Print where the run's timeline is."""
        if result.timeline:
            self._line(f"Timeline    {result.timeline}")

    def _engine(self, host: Host) -> None:
        """Print how a gateway with sandboxes reaches its engine, and what that lets it do."""
        found = notes.of(host)
        if found.form:
            self._line(f"  Engine      {found.form}")
        if found.apparmor:
            self._line(f"  AppArmor    {found.apparmor}")
        self._warnings(found.warnings)

    def _warnings(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self._line(f"  Warning     {warning}", "yellow")

    def _verification(self, host: Host) -> None:
        """Print what the verification stage found, if something changed and it looked."""
        found = notes.of(host)
        if not found.checks:
            if found.proved:
                self._line(f"  Sandbox     {found.proved.detail}", "green")
            return
        passed = [check for check in found.checks if check.outcome == "ok"]
        words = [
            f"{one.name} ({one.detail})" if one.name == "sandbox" else one.label
            for one in passed
            if not one.group
        ]
        groups = Counter(one.group for one in passed if one.group)
        words += [f"{group} ({count} checks)" for group, count in groups.items()]
        self._line(f"  Verified    {', '.join(words)}", "green")
        self._bad(found.checks)

    def _outside(self, hosts: Mapping[str, HostResult], indent: str = "  ") -> None:
        """Print on one line what answers to this machine of the hosts that were changed."""
        text, style = outside_line(hosts)
        if text:
            self._line(f"{indent}Outside     {text}", style)

    def _bad(self, checks: Iterable[Check]) -> None:
        for check in checks:
            if check.outcome != "ok":
                self._line(
                    f"  {check.outcome.capitalize():11} {check.label}: {check.detail}", "red"
                )

    def _sandboxes(self, host: Host) -> None:
        """Print which stale sandboxes were left alone, and what recreates them."""
        stale = notes.of(host).stale
        for one in stale:
            self._line(
                f"  Stale       {one.name} ({one.agent}, in use): {'; '.join(one.reasons)}",
                "yellow",
            )
        if stale:
            self._line(f"              {self.command('sandboxes', '--recreate')}")

    def _next_steps(self, host: Host, settings: Settings) -> None:
        port, address = settings.gateway.port, settings.gateway.address
        local = targets.is_local(host)
        at = address
        if address in ("0.0.0.0", "::"):
            at = LOOPBACK[0] if local else host.data.get("ssh_hostname") or host.name

        def command(verb: str, *words: str) -> str:
            return self.given.for_host(verb, host.name, *words)

        if address in LOOPBACK and not local:
            self._tunnel(host, port)
            if notes.of(host).forwards:
                self._line(f"  Open        {command('open')}   (the tunnel, and a browser)")
        origins = settings.exposure.origins
        where = origins[0] if origins else f"http://{form.in_url(at)}:{port}"
        self._line(f"  Control UI  {where}/")
        if settings.exposure.profile == "proxy":
            proxies = ", ".join(settings.exposure.proxy.proxies)
            self._line(f"  Proxy       {proxies} to http://{at}:{port}, and nobody else")
        else:
            self._line(f"  Token       {command('token')}")
        self._line(f"  Device      {command('devices approve')}   (where it says 1008)")
        self._channel(settings, command)
        self._line(f"  Status      {command('status')}")
        self._line(f"  Model       {command('onboard')}   (OpenClaw's own wizard; docs/models.md)")

    def _tunnel(self, host: Host, port: int) -> None:
        """Print the tunnel to the gateway; where sshd refuses it, what allows it."""
        if notes.of(host).forwards:
            tunnel = ["ssh", "-N", "-L", f"{port}:127.0.0.1:{port}", *targets.ssh_options(host)]
            self._line(f"  Tunnel      {shlex.join(tunnel)}")
            return
        for line in NO_FORWARDING.format(port=port).splitlines():
            self._line(line, "yellow")

    def _channel(self, settings: Settings, command: Callable[..., str]) -> None:
        """Print how a channel is set up, its token by reference, and what says whether it works."""
        if settings.channels:
            self._line(f"  Channels    {command('channels')}")
            if "whatsapp" in settings.channels:
                self._line(
                    f"  WhatsApp    {command('channels login whatsapp')}   (a QR code, once)"
                )
            return
        file = self.given.file or "openclaw.yml"
        before = "" if self.given.file else f"{self.command('init')}; "
        up = self.command("up") if self.given.file else "./claw up openclaw.yml"
        telegram = f"channels: {{telegram: {{secrets: {{botToken: {BOT_TOKEN}}}}}}} in {file}; {up}"
        if BOT_TOKEN in settings.credentials:
            self._line(f"  Channel     {before}{telegram}")
        else:
            self._line(f"  Channel     {before}credentials: {{{BOT_TOKEN}: {{file: FILE}}}} and")
            self._line(f"              {telegram}")
        self._line("              (WhatsApp, Discord, Signal and others: docs/channels.md)")

    def _line(self, text: str, style: str = "") -> None:
        self.console.print(said(_one(text), style), soft_wrap=True)

    def _error(self, text: str, style: str = "") -> None:
        self.errors.print(said(_one(text), style), soft_wrap=True)


def _one(text: str) -> str:
    """Return a text whose further lines cannot be taken for lines about another host."""
    return text.replace("\n", "\n        ")
