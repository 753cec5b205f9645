"""Colours and type of the pages, in light and in dark: told apart by people with any colour vision, and in print.

Every colour is a pair (light, dark). States differ in lightness as well as hue, so that they survive greyscale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Mode = Literal["light", "dark"]


class Shade(NamedTuple):
    """One colour in both modes."""

    light: str
    dark: str

    def of(self, mode: Mode) -> str:
        """Return the colour for `mode`."""
        return self.dark if mode == "dark" else self.light

    @property
    def css(self) -> str:
        """Return the pair as CSS that follows the page's colour scheme."""
        return f"light-dark({self.light}, {self.dark})"


TEXT: Final = Shade("#16202C", "#E8EDF3")
MUTED: Final = Shade("#5B6876", "#9AA7B5")
FAINT: Final = Shade("#8995A1", "#6F7C8A")
RULE: Final = Shade("#E3E8EE", "#2A3542")
GRID: Final = Shade("#EDF0F4", "#222C38")
PAGE: Final = Shade("#FFFFFF", "#0F151C")
PANEL: Final = Shade("#F6F8FA", "#171F29")
ACCENT: Final = Shade("#0B5CAD", "#5AA7F0")
WARNING: Final = Shade("#B45309", "#F0A847")

STATE_COLOURS: Final[dict[str, Shade]] = {
    "active": Shade("#0B5CAD", "#3F8FE0"),
    "held_idle": Shade("#EDA63A", "#F0B04F"),
    "held_unobserved": Shade("#8DB4DC", "#87A9CC"),
    "ungranted": Shade("#B06098", "#C97FB3"),
    "idle": Shade("#CFD6DE", "#465464"),
    "unavailable": Shade("#C0492F", "#E0694E"),
    "unobserved": Shade("#7B6FA6", "#9C90C8"),
}
STATE_ORDER: Final = tuple(STATE_COLOURS)

# After Okabe and Ito, deepened for white paper.
TEAM_COLOURS: Final[tuple[Shade, ...]] = (
    Shade("#0B5CAD", "#5AA7F0"),
    Shade("#D98A1F", "#F0B04F"),
    Shade("#0A8F72", "#3CC4A2"),
    Shade("#B0568F", "#DB8ABF"),
    Shade("#5EAEDC", "#9AD3F5"),
    Shade("#8A6B3D", "#C4A26F"),
    Shade("#6C63A8", "#A9A1E0"),
    Shade("#B5483A", "#E88373"),
)
OTHERS: Final = Shade("#9AA5B1", "#6F7C8A")
NOT_A_TEAM: Final = Shade("#CFD6DE", "#465464")

FONT: Final = "'Source Sans', 'Source Sans 3', 'Source Sans Pro', 'Helvetica Neue', Arial, sans-serif"


def team_colours(shown: Sequence[str], known: Sequence[str] = ()) -> dict[str, Shade]:
    """Give each team that is shown a colour of its own; past the palette all are one grey.

    A team has the colour of its place in the alphabet of all that are `known`, whatever it cost: the same on each page
    and in each period, as long as there are no more teams than colours. Past that, a colour that is taken goes to who
    comes first, and the next takes the next one that is free.
    """
    places = {team: at for at, team in enumerate(sorted({*known, *shown}))}
    found: dict[str, Shade] = {}
    free = list(range(len(TEAM_COLOURS)))
    for team in sorted(shown[: len(TEAM_COLOURS)], key=places.__getitem__):
        wanted = places[team] % len(TEAM_COLOURS)
        place = min(free, key=lambda each: (each - wanted) % len(TEAM_COLOURS))
        free.remove(place)
        found[team] = TEAM_COLOURS[place]
    return {team: found.get(team, OTHERS) for team in shown}


def streamlit_flags() -> list[str]:
    """Return the launcher's theme flags, so that no configuration file has to lie next to the program."""
    pairs = {
        "primaryColor": ACCENT,
        "backgroundColor": PAGE,
        "secondaryBackgroundColor": PANEL,
        "textColor": TEXT,
        "borderColor": RULE,
        "linkColor": ACCENT,
        "dataframeHeaderBackgroundColor": PANEL,
        "dataframeBorderColor": RULE,
    }
    flags = [f"--theme.{mode}.{name}={shade.of(mode)}" for mode in _MODES for name, shade in pairs.items()]
    return [*flags, "--theme.baseFontSize=15", "--theme.baseRadius=8px", "--theme.showWidgetBorder=true"]


_MODES: Final[tuple[Mode, Mode]] = ("light", "dark")


def stylesheet() -> str:
    """Return the page's CSS: spacing, cards, and the figures' type. Colours follow the scheme by themselves."""
    colours = {"text": TEXT, "muted": MUTED, "faint": FAINT, "rule": RULE, "panel": PANEL, "accent": ACCENT}
    css = _CSS
    for name, shade in (colours | {"warning": WARNING}).items():
        css = css.replace(f"{{{name}}}", shade.css)
    return css


_CSS: Final = """<style>
.block-container { max-width: 1200px; padding-top: 3.3rem; padding-bottom: 4rem; }
[data-testid="stHeader"] { background: transparent; height: 0; }
[data-testid="stElementToolbar"] { display: none; }
.gl-brand { font-size: .82rem; color: {muted}; letter-spacing: .01em; padding-top: .45rem; }
.gl-brand b { color: {text}; font-weight: 650; }
.gl-brand i { display: inline-block; width: .62rem; height: .62rem; border-radius: 2px; background: {accent};
  margin-right: .5rem; }
h1.gl-finding { font-size: 2.05rem; line-height: 1.18; font-weight: 650; letter-spacing: -.018em; color: {text};
  margin: .35rem 0 .55rem; padding: 0; max-width: 54rem; text-wrap: balance; overflow-wrap: anywhere; }
.gl-lead { font-size: 1.06rem; line-height: 1.5; color: {muted}; max-width: 50rem; margin: 0 0 .2rem; }
.gl-lead b { color: {text}; font-weight: 600; }
.gl-kpis { display: grid; grid-template-columns: repeat(4, 1fr); gap: 0; border-top: 1px solid {rule};
  border-bottom: 1px solid {rule}; margin: 1.3rem 0 1.2rem; }
.gl-kpi { padding: 1.05rem 1.3rem 1.1rem; border-left: 1px solid {rule}; }
.gl-kpi:first-child { padding-left: 0; border-left: none; }
.gl-kpi .k { font-size: .86rem; color: {muted}; }
.gl-kpi .v { font-size: 1.85rem; font-weight: 620; letter-spacing: -.015em; line-height: 1.25; color: {text};
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.gl-kpi .v small { font-size: .95rem; font-weight: 450; color: {muted}; letter-spacing: 0; margin-left: .3rem; }
.gl-kpi .d { font-size: .86rem; color: {muted}; line-height: 1.4; }
h2.gl-h { font-size: 1.18rem; font-weight: 640; letter-spacing: -.008em; line-height: 1.3; color: {text};
  margin: 1.1rem 0 .1rem; padding: 0; text-wrap: balance; }
.gl-sub { font-size: .9rem; color: {muted}; margin: 0 0 .35rem; line-height: 1.45; }
.gl-keys { display: flex; flex-wrap: wrap; gap: .2rem .85rem; font-size: .83rem;
  color: {muted}; margin: .1rem 0 .2rem; }
@media (min-width: 761px) { .gl-keys.tall { min-height: 2.7rem; align-content: flex-start; } }
.gl-keys span { white-space: nowrap; max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
.gl-keys i { display: inline-block; width: .68rem; height: .68rem; border-radius: 2px; margin-right: .4rem; }
.gl-scroll { overflow-x: auto; }
table.gl-t { width: 100%; border-collapse: collapse; font-size: .93rem; color: {text};
  font-variant-numeric: tabular-nums; margin: .2rem 0 .4rem; }
table.gl-t th { text-align: right; font-weight: 500; font-size: .82rem; color: {muted}; padding: .35rem .7rem;
  border: none; border-bottom: 1px solid {rule}; white-space: nowrap; }
table.gl-t td { text-align: right; padding: .46rem .7rem; border: none; border-bottom: 1px solid {rule};
  white-space: nowrap; }
table.gl-t th:first-child, table.gl-t td:first-child { text-align: left; padding-left: 0; white-space: normal; }
table.gl-t th:last-child, table.gl-t td:last-child { padding-right: 0; }
table.gl-t .l { text-align: left; }
table.gl-t td:first-child { overflow-wrap: anywhere; min-width: 7rem; max-width: 32rem; }
table.gl-t td.l:not(:first-child) { white-space: normal; overflow-wrap: anywhere; }
table.gl-t a, .gl-crumbs a, .gl-pager a { color: {accent}; text-decoration: underline;
  text-decoration-color: {rule}; text-underline-offset: .18em; }
table.gl-t a:hover, .gl-crumbs a:hover, .gl-pager a:hover { text-decoration-color: currentColor; }
.gl-crumbs { font-size: .92rem; color: {muted}; margin: .1rem 0 .3rem; overflow-wrap: anywhere; }
.gl-crumbs i { font-style: normal; color: {faint}; margin: 0 .45rem; }
.gl-crumbs b { color: {text}; font-weight: 600; }
.gl-pager { font-size: .88rem; color: {muted}; margin: .2rem 0 .6rem; }
.gl-pager a, .gl-pager span { margin-left: .8rem; }
.gl-pager a.first { margin-left: 0; }
.gl-pager span { color: {faint}; }
.gl-steps { font-size: .95rem; color: {text}; line-height: 1.5; margin: .2rem 0 .6rem; padding-left: 1.3rem;
  max-width: 54rem; overflow-wrap: anywhere; }
.gl-steps li { margin: .15rem 0; }
table.gl-t tr.aside td { color: {muted}; }
table.gl-t tr.total td { font-weight: 640; border-bottom: none; border-top: 1.5px solid {muted}; }
table.gl-t small { color: {muted}; display: block; font-size: .82rem; }
.gl-notes { border-top: 1px solid {rule}; }
.gl-note { display: grid; grid-template-columns: 8.5rem 1fr; gap: .2rem 1.4rem; padding: .75rem 0;
  border-bottom: 1px solid {rule}; font-size: .95rem; line-height: 1.45; color: {muted}; }
.gl-note b { color: {text}; font-weight: 620; font-variant-numeric: tabular-nums; }
.gl-note.warn b { color: {warning}; }
.gl-note em { font-style: normal; color: {text}; }
.gl-note code { font-size: .85em; color: {text}; background: {panel}; padding: .1em .35em; border-radius: 4px; }
.gl-empty { border: 1px solid {rule}; border-radius: 10px; padding: 2rem 2.2rem; margin: 1.4rem 0;
  background: {panel}; }
.gl-empty h1 { font-size: 1.5rem; font-weight: 640; margin: 0 0 .5rem; padding: 0; color: {text}; }
.gl-empty p { color: {muted}; max-width: 44rem; margin: .3rem 0; }
.gl-empty code { color: {text}; }
.gl-foot { color: {faint}; font-size: .84rem; margin-top: 1.6rem; }
.gl-reader { color: {muted}; font-size: .84rem; margin: .4rem 0 0; overflow-wrap: anywhere; }
.gl-reader a, .gl-foot a { color: {accent}; }
@media (max-width: 760px) {
  .block-container { padding-left: 1.1rem; padding-right: 1.1rem; padding-top: 3.2rem; }
  h1.gl-finding { font-size: 1.55rem; }
  .gl-kpis { grid-template-columns: 1fr 1fr; }
  .gl-kpi, .gl-kpi:first-child { padding: .8rem .9rem .85rem 0; border-left: none; }
  .gl-kpi:nth-child(even) { padding-left: .9rem; border-left: 1px solid {rule}; }
  .gl-kpi:nth-child(n+3) { border-top: 1px solid {rule}; }
  .gl-kpi .v { font-size: 1.45rem; }
  .gl-note { grid-template-columns: 1fr; }
  table.gl-t th, table.gl-t td { padding-left: .45rem; padding-right: .45rem; }
  table.gl-t td.l:not(:first-child) { min-width: 6.6rem; }
  h2.gl-h { margin-top: .6rem; }
}
</style>"""
