// Defects of a roll as arrays sorted along it, so that a window is two binary searches. Pure.

/** What a defect means, as the map draws it. */
export const PASS = 0;
export const MARK = 1;
export const KILLER = 2;

/** @param {{verdict: string}} defect */
export const gradeOf = (defect) => (defect.verdict === "reject" ? KILLER : defect.verdict === "pass" ? PASS : MARK);

export class DefectTable {
  /** @param {object[]} defects as the API gives them */
  constructor(defects) {
    this.rows = [...defects].sort((a, b) => a.md_start_um - b.md_start_um || (a.defect < b.defect ? -1 : 1));
    const count = this.rows.length;
    this.start = new Float64Array(count);
    this.end = new Float64Array(count);
    this.cd = new Float64Array(count);
    this.grade = new Uint8Array(count);
    this.longest = 0;
    this.killers = [];
    this.rows.forEach((row, index) => {
      this.start[index] = row.md_start_um;
      this.end[index] = row.md_end_um;
      this.cd[index] = (row.cd_start_um + row.cd_end_um) / 2;
      this.grade[index] = gradeOf(row);
      this.longest = Math.max(this.longest, row.md_end_um - row.md_start_um);
      if (this.grade[index] === KILLER) this.killers.push(row);
    });
  }

  /** Index of the first defect that starts at or after a position. @param {number} um */
  at(um) {
    let low = 0;
    let high = this.start.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.start[middle] < um) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Indices of defects that touch a window. @param {number} from_um @param {number} to_um @returns {number[]} */
  within(from_um, to_um) {
    const found = [];
    const stop = this.at(to_um);
    for (let index = this.at(from_um - this.longest); index < stop; index += 1) {
      if (this.end[index] >= from_um) found.push(index);
    }
    return found;
  }

  /** The next or previous killer from a position, round the end. @param {number} um @param {1 | -1} way */
  killerFrom(um, way) {
    const list = this.killers;
    if (!list.length) return null;
    if (way > 0) return list.find((row) => row.md_start_um > um) ?? list[0];
    return [...list].reverse().find((row) => row.md_start_um < um) ?? list[list.length - 1];
  }
}
