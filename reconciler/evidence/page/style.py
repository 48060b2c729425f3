"""How the page looks, on a screen and on A4 or Letter paper. Pure.

No font, picture or script comes from elsewhere: the page says so to the browser, too.
"""

from typing import Final

POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_SHEET: Final = """\
:root { color-scheme: light; font-size: 15px; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 2rem 4rem; background: #fff;
  color: #111; font: 1rem/1.5 "DejaVu Sans", system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .6rem;
  border-top: 2px solid #111; }
h3 { font-size: 1.02rem; margin: 1.6rem 0 .4rem; }
p, ul, ol { margin: .5rem 0; max-width: 46rem; }
a { color: #003b8e; }
code, pre, td.c { font-family: "DejaVu Sans Mono", ui-monospace, monospace; font-size: .86em; }
p, li, h1, h2, h3, h4 { overflow-wrap: anywhere; }
th, td { overflow-wrap: break-word; }
pre { background: #f3f3f3; border: 1px solid #767676; padding: .7rem .9rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.sub { color: #444; margin-top: 0; }
.verdict { display: grid; grid-template-columns: repeat(auto-fit, minmax(max(13rem, 30%), 1fr));
  border: 2px solid #111; margin: 1.2rem 0; }
.verdict > div { padding: .6rem .9rem; border-right: 1px solid #767676;
  border-bottom: 1px solid #767676; }
.verdict dt, .verdict .k { font-size: .8rem; color: #444; display: block; }
.verdict .v { font-size: 1.15rem; font-weight: 700; overflow-wrap: anywhere; }
.mark { display: inline-block; border: 1.5px solid #111; padding: 0 .45em; font-weight: 700;
  white-space: nowrap; }
.mark.good { background: #fff; }
.mark.bad { background: #111; color: #fff; }
.mark.open { border-style: dashed; }
.wide { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .87rem; }
caption { text-align: left; font-weight: 700; padding: .2rem 0 .35rem; }
th, td { text-align: left; vertical-align: top; padding: .28rem .55rem;
  border: 1px solid #767676; }
thead th { background: #e9e9e9; border-bottom: 2px solid #111; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead th.n { white-space: normal; }
.facts { width: auto; max-width: 100%; }
.facts th { background: #f3f3f3; font-weight: 600; }
.none, .rest, .note { color: #333; font-size: .92rem; }
.item { border: 1px solid #767676; padding: .3rem .9rem .5rem; margin: .9rem 0; }
.item h4 { margin: .4rem 0; font-size: .95rem; overflow-wrap: anywhere; }
figure { margin: 1rem 0; break-inside: avoid; }
figure svg { width: 100%; max-width: 45rem; height: auto; display: block; }
figcaption { font-size: .87rem; color: #333; margin-bottom: .4rem; }
nav ol { columns: 2; padding-left: 1.6rem; }
footer { margin-top: 3rem; border-top: 1px solid #767676; font-size: .82rem; color: #333; }
@media print {
  :root { font-size: 9.2pt; }
  body { max-width: none; padding: 0; line-height: 1.4; }
  p, ul, ol { max-width: none; }
  h1 { font-size: 17pt; } h2 { font-size: 13pt; margin-top: 20pt; } h3 { font-size: 10.5pt; }
  h2, h3, h4, caption, thead { break-after: avoid; }
  tbody tr:first-child { break-before: avoid; }
  tr, figure, .item, .verdict, .verdict > div, .facts, pre, li { break-inside: avoid; }
  thead { display: table-header-group; }
  p { orphans: 3; widows: 3; }
  table { font-size: 7.4pt; }
  th, td { padding: 2pt 3pt; }
  .note + .item { break-before: avoid; }
  td.c, code, pre { font-size: .92em; }
  .wide { overflow: visible; }
  .verdict { grid-template-columns: repeat(3, 1fr); }
  a { color: #111; text-decoration: none; }
  a[href^="http"]::after { content: " (" attr(href) ")"; overflow-wrap: anywhere; }
  nav a::after { content: none; }
  footer { display: none; }
}
"""
_PAGE: Final = """\
@page {{
  margin: 16mm 14mm 20mm 14mm;
  @bottom-left {{ content: "{left}"; font: 6.8pt "DejaVu Sans", sans-serif; color: #333;
    width: 82%; text-align: left; vertical-align: top; padding-top: 4mm; }}
  @bottom-right {{ content: "page " counter(page) " of " counter(pages);
    font: 6.8pt "DejaVu Sans", sans-serif; color: #333; width: 18%; vertical-align: top;
    padding-top: 4mm; text-align: right; }}
}}
"""


def sheet(foot: str) -> str:
    """The whole style sheet; `foot` stands at the foot of each page of paper."""
    plain = "".join(
        letter if letter.isascii() and letter.isprintable() else "?" for letter in foot
    )
    quoted = "".join(f"\\{ord(one):06x}" if one in '"\\<>&' else one for one in plain)
    return _SHEET + _PAGE.format(left=quoted)
