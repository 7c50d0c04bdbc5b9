// Values as people read them. Times are the reader's own, except where a chart counts in UTC.

// A cost has no currency: what it counts is the operator's affair.
const MONEY = moneyFormat(2);
const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const NONE = "–";

export function money(amount) {
  return amount == null ? NONE : MONEY.format(amount);
}

/** Amounts that stand one below the other: all with the decimals of the one that needs most. */
export function moneys(amounts) {
  const decimals = amounts.map((amount) => money(amount).split(".")[1]?.length ?? 0);
  const format = moneyFormat(Math.max(2, ...decimals));
  return amounts.map((amount) => format.format(amount));
}

function moneyFormat(fewest) {
  return new Intl.NumberFormat("en", { minimumFractionDigits: fewest, maximumFractionDigits: 4 });
}

export function count(number) {
  return NUMBER.format(number);
}

/** “1 request”, “2 requests”. */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function percent(share) {
  return share == null ? NONE : `${NUMBER.format(Math.round(share * 1000) / 10)} %`;
}

export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 100) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** “last day”, “last 7 days”. */
export function lastDays(days) {
  return days === 1 ? "last day" : `last ${days} days`;
}

/** The time of the day, and the day too unless it is today. */
export function moment(iso) {
  if (!iso) return NONE;
  const when = new Date(iso);
  const today = when.toDateString() === new Date().toDateString();
  return today ? TIME.format(when) : `${DAY.format(when)}, ${TIME.format(when)}`;
}

/** Seconds from submission to the end; null while there is none. */
export function took({ createdAt, completedAt }) {
  return completedAt && (Date.parse(completedAt) - Date.parse(createdAt)) / 1000;
}

/** Enough of a UUID to tell it from others. */
export function shortId(id) {
  return `${id.slice(0, 8)}…${id.slice(-4)}`;
}

/** A `datetime-local` field's value for a moment, and back. */
export function fieldOf(iso) {
  const when = new Date(iso);
  if (Number.isNaN(when.getTime())) return "";
  return new Date(when.getTime() - when.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function momentOfField(value) {
  return value ? new Date(value).toISOString() : null;
}

/** An alert's or error's name without its underscores. */
export function words(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
