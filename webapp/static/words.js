// What people read of an operation: amounts, times, and the line beneath its bar. webapp/words.py says the same in
// a page's first paint, and a test holds the two together.

const SIZES = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "KB"]];
const UNITS = [["day", 86_400], ["hour", 3_600], ["minute", 60], ["second", 1]];
const SHORT = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
const SHORT_ID_CHARS = 12;
const MOST_OF_A_FAILURE = 99;
const grouped = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });

const halfUp = (value) => Math.trunc(value + 0.5);
const of = (number, unit) => (number === 1 ? `${number} ${unit}` : `${number} ${unit}s`);

function number(value) {
  const tenths = halfUp(value * 10);
  return value < 10 && tenths % 10 ? (tenths / 10).toFixed(1) : grouped.format(halfUp(value));
}

function size(value) {
  const [unitSize, unit] = SIZES.find(([least]) => value >= least) ?? [];
  return unit ? `${(halfUp((value / unitSize) * 10) / 10).toFixed(1)} ${unit}` : `${halfUp(value)} B`;
}

function spoken(seconds) {
  const [unit, unitSize] = UNITS.find(([, least]) => seconds >= 1.5 * least) ?? UNITS.at(-1);
  return [Math.max(1, halfUp(seconds / unitSize)), unit];
}

// "1,790", "3.5"; of an upload "25.0 MB".
export function amount(value, kind) {
  return kind === "upload" ? size(value) : number(value);
}

// "5 of 10", or "5" where nobody knows of how many.
export function count({ current, total }, kind) {
  return total === null ? amount(current, kind) : `${amount(current, kind)} of ${amount(total, kind)}`;
}

// How many percent of it are done, null where nobody knows. What failed when all was done is not whole.
export function far({ error, complete, progress }) {
  if (complete) return 100;
  const done = progress?.percentage ?? null;
  return error?.terminal && done !== null ? Math.min(done, MOST_OF_A_FAILURE) : done;
}

// "12 a second · about 4 minutes left (3 to 6 minutes)"
export function pace(progress, kind) {
  const rate = progress.rate ? `${amount(progress.rate, kind)} a second` : "";
  return [rate, timeLeft(progress)].filter(Boolean).join(" · ");
}

// How long it will take, without the interval; or how fast it goes, where that is all that is known.
export function briefly({ etaSeconds, rate }, kind) {
  return timeLeft({ etaSeconds }) || pace({ rate }, kind);
}

// An interval that rounds to its middle is left out.
export function timeLeft({ etaSeconds, etaLow = etaSeconds, etaHigh = etaSeconds }) {
  if (!etaSeconds) return "";
  const [low, middle, high] = [etaLow, etaSeconds, etaHigh].map(spoken);
  const said = `about ${of(...middle)} left`;
  if (low.join() === high.join()) return said;
  return `${said} (${low[1] === high[1] ? low[0] : of(...low)} to ${of(...high)})`;
}

// "0.4 s", "3 min 12 s", "2 h 5 min", "3 d 4 h"
export function duration(seconds) {
  const whole = halfUp(seconds);
  if (whole < 60) return `${number(seconds)} s`;
  const place = SHORT.findIndex(([least]) => whole >= least);
  const [[unitSize, unit], [nextSize, nextUnit]] = SHORT.slice(place);
  const rest = Math.floor((whole % unitSize) / nextSize);
  return `${Math.floor(whole / unitSize)} ${unit}${rest ? ` ${rest} ${nextUnit}` : ""}`;
}

// "just now", "4 minutes ago"
export function age(seconds) {
  return seconds < 5 ? "just now" : `${of(...spoken(seconds))} ago`;
}

// An id so that it fits a row: what one compares at a glance, not what one copies.
export function short(id) {
  return id.length <= SHORT_ID_CHARS ? id : `${id.slice(0, SHORT_ID_CHARS - 1)}…`;
}

// How an operation stands, in a line: its end, or else how far it is and at what. `events`: the latest of each type.
export function says(kind, { error, complete, progress }) {
  if (error?.terminal) return `${error.message} (${error.code})`;
  if (complete) {
    const { durationSeconds } = complete;
    return durationSeconds === undefined || durationSeconds === null ? "done" : `done in ${duration(durationSeconds)}`;
  }
  return progress ? [count(progress, kind), progress.message].filter(Boolean).join(" · ") : "";
}
