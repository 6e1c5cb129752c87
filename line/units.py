"""UCUM units and their UNECE common codes, in the one table that joins them.

Inside Lamella a unit is its UCUM code (case-sensitive, https://ucum.org). OPC-UA names units by the UNECE common code
(Recommendation 20), packed into the `unitId` of `EUInformation` (OPC 10000-8, 5.6.4). What the unit is counted from or
against (frost point, absolute pressure, mass) is not part of the unit: it stands beside it as `reference`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from line.errors import ConfigError

UNECE_NAMESPACE_URI = "http://www.opcfoundation.org/UA/units/un/cefact"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that tags may have."""

    ucum: str
    unece: str | None
    """UNECE common code; None where Recommendation 20 has none."""
    symbol: str
    """For people: °C, µm, g/m²."""
    title: str

    @property
    def unit_id(self) -> int:
        """The common code as OPC-UA packs it, one ASCII character a byte; -1 where there is no code."""
        return int.from_bytes(self.unece.encode("ascii"), "big") if self.unece else -1

    @property
    def namespace_uri(self) -> str:
        """Who defines `unit_id`; empty where the unit has no common code."""
        return UNECE_NAMESPACE_URI if self.unece else ""


_ROWS = (
    Unit("1", "C62", "", "one"),
    Unit("%", "P1", "%", "percent"),
    Unit("[ppm]", "59", "ppm", "part per million"),
    Unit("deg", "DD", "°", "degree of angle"),
    Unit("mrad", "C25", "mrad", "milliradian"),
    Unit("nm", "C45", "nm", "nanometre"),
    Unit("um", "4H", "µm", "micrometre"),
    Unit("mm", "MMT", "mm", "millimetre"),
    Unit("cm", "CMT", "cm", "centimetre"),
    Unit("m", "MTR", "m", "metre"),
    Unit("m2", "MTK", "m²", "square metre"),
    Unit("m3", "MTQ", "m³", "cubic metre"),
    Unit("L", "LTR", "L", "litre"),
    Unit("mL", "MLT", "mL", "millilitre"),
    Unit("ms", "C26", "ms", "millisecond"),
    Unit("s", "SEC", "s", "second"),
    Unit("min", "MIN", "min", "minute"),
    Unit("h", "HUR", "h", "hour"),
    Unit("d", "DAY", "d", "day"),
    Unit("Hz", "HTZ", "Hz", "hertz"),
    Unit("kHz", "KHZ", "kHz", "kilohertz"),
    Unit("1/s", "C97", "1/s", "per second"),
    Unit("1/min", "C94", "1/min", "per minute"),
    Unit("1/h", "H10", "1/h", "per hour"),
    Unit("1/m2", "C93", "1/m²", "per square metre"),
    Unit("1/m3", "C86", "1/m³", "per cubic metre"),
    Unit("m/s", "MTS", "m/s", "metre per second"),
    Unit("mm/s", "C16", "mm/s", "millimetre per second"),
    Unit("m/min", "2X", "m/min", "metre per minute"),
    Unit("mL/min", "41", "mL/min", "millilitre per minute"),
    Unit("L/min", "L2", "L/min", "litre per minute"),
    Unit("m3/h", "MQH", "m³/h", "cubic metre per hour"),
    Unit("kg/h", "E93", "kg/h", "kilogram per hour"),
    Unit("mg", "MGM", "mg", "milligram"),
    Unit("g", "GRM", "g", "gram"),
    Unit("kg", "KGM", "kg", "kilogram"),
    Unit("g/m2", "GM", "g/m²", "gram per square metre"),
    Unit("mg/cm2", "H63", "mg/cm²", "milligram per square centimetre"),
    Unit("g/cm3", "23", "g/cm³", "gram per cubic centimetre"),
    Unit("N", "NEW", "N", "newton"),
    Unit("kN", "B47", "kN", "kilonewton"),
    Unit("N/m", "4P", "N/m", "newton per metre"),
    Unit("N/mm", "F47", "N/mm", "newton per millimetre"),
    Unit("N.m", "NU", "N·m", "newton metre"),
    Unit("Pa", "PAL", "Pa", "pascal"),
    Unit("kPa", "KPA", "kPa", "kilopascal"),
    Unit("MPa", "MPA", "MPa", "megapascal"),
    Unit("MPa/s", None, "MPa/s", "megapascal per second"),
    Unit("mbar", "MBR", "mbar", "millibar"),
    Unit("bar", "BAR", "bar", "bar"),
    Unit("mbar.L/s", "F95", "mbar·L/s", "millibar litre per second"),
    Unit("10*-7.mbar.L/s", None, "10⁻⁷ mbar·L/s", "ten to the minus seven millibar litre per second"),
    Unit("mPa.s", "C24", "mPa·s", "millipascal second"),
    Unit("Cel", "CEL", "°C", "degree Celsius"),
    Unit("K", "KEL", "K", "kelvin"),
    Unit("J", "JOU", "J", "joule"),
    Unit("mJ/cm2", None, "mJ/cm²", "millijoule per square centimetre"),
    Unit("W", "WTT", "W", "watt"),
    Unit("kW", "KWT", "kW", "kilowatt"),
    Unit("mA", "4K", "mA", "milliampere"),
    Unit("A", "AMP", "A", "ampere"),
    Unit("A.h", "AMH", "A·h", "ampere hour"),
    Unit("mV", "2Z", "mV", "millivolt"),
    Unit("V", "VLT", "V", "volt"),
    Unit("mV/d", None, "mV/d", "millivolt per day"),
    Unit("uOhm", "B94", "µΩ", "microohm"),
    Unit("mOhm", "E45", "mΩ", "milliohm"),
    Unit("Ohm", "OHM", "Ω", "ohm"),
    Unit("MOhm", "B75", "MΩ", "megaohm"),
    Unit("uS/cm", "G42", "µS/cm", "microsiemens per centimetre"),
    Unit("{DN}", None, "DN", "grey level"),
    Unit("{px}", None, "px", "pixel"),
    Unit("um/{px}", None, "µm/px", "micrometre per pixel"),
)

UNITS: dict[str, Unit] = {row.ucum: row for row in _ROWS}


def unit(ucum: str) -> Unit:
    """The unit of this UCUM code, compared exactly: `MPA` and `mpa` are not `MPa`.

    Raises:
        ConfigError: no row has this code; names the nearest ones.
    """
    if found := UNITS.get(ucum):
        return found
    folded = {code.casefold(): code for code in UNITS}
    near = [folded[name] for name in difflib.get_close_matches(ucum.casefold(), folded, n=3, cutoff=0.5)]
    near += [row.ucum for row in UNITS.values() if ucum == row.symbol and row.ucum not in near]
    hint = f"did you mean {', '.join(near)}?" if near else "the known units are the rows of line/units.py"
    raise ConfigError(f"unit {ucum!r} is not a known UCUM unit; {hint}")
