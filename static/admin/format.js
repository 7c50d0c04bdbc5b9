// Values as people read them. Times are the reader's own, except where a chart counts in UTC.

// A cost has no currency: what it counts is the operator's affair.
const MONEY = moneyFormat(2);
const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

const NONE = "–";

/** @typedef {Intl.StringNumericLiteral} Decimal an amount as text, which Intl formats exactly */

/** @param {string|number|null} amount */
export function money(amount) {
  return amount == null ? NONE : MONEY.format(/** @type {Decimal} */ (amount));
}

/**
 * Amounts that stand one below the other: all with the decimals of the one that needs most.
 * @param {string[]} amounts
 */
export function alignedMoney(amounts) {
  const decimals = amounts.map((amount) => money(amount).split(".")[1]?.length ?? 0);
  const format = moneyFormat(Math.max(2, ...decimals));
  return amounts.map((amount) => format.format(/** @type {Decimal} */ (amount)));
}

/** @param {number} minimumFractionDigits */
function moneyFormat(minimumFractionDigits) {
  return new Intl.NumberFormat("en", { minimumFractionDigits, maximumFractionDigits: 4 });
}

/** @param {number} number */
export function count(number) {
  return NUMBER.format(number);
}

/**
 * “1 request”, “2 requests”.
 * @param {number} number
 * @param {string} singular
 */
export function counted(number, singular, plural = `${singular}s`) {
  return `${count(number)} ${number === 1 ? singular : plural}`;
}

/** @param {number|null} share from 0 to 1 */
export function percent(share) {
  return share == null ? NONE : `${NUMBER.format(Math.round(share * 1000) / 10)} %`;
}

/** @param {number|null} seconds */
export function duration(seconds) {
  if (seconds == null) return NONE;
  if (seconds < 100) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 48 * 3600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/**
 * “last day”, “last 7 days”.
 * @param {number} days
 */
export function lastDays(days) {
  return days === 1 ? "last day" : `last ${days} days`;
}

/**
 * The time of the day, and the day too unless it is today.
 * @param {string|null} iso
 */
export function dateTime(iso) {
  if (!iso) return NONE;
  const date = new Date(iso);
  const isToday = date.toDateString() === new Date().toDateString();
  return isToday ? TIME.format(date) : `${DAY.format(date)}, ${TIME.format(date)}`;
}

/**
 * “12 min ago”; what is older than a day has its date.
 * @param {string} iso
 */
export function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (seconds < 5) return "just now";
  return seconds < 24 * 3600 ? `${duration(Math.round(seconds))} ago` : dateTime(iso);
}

/** The reader's time zone, by its name. */
export const TIME_ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone;

/**
 * Seconds from submission to the end; null while there is none.
 * @param {{ createdAt: string, completedAt: string|null }} request
 */
export function secondsTaken({ createdAt, completedAt }) {
  return completedAt === null ? null : (Date.parse(completedAt) - Date.parse(createdAt)) / 1000;
}

/**
 * Enough of a UUID to tell it from others.
 * @param {string} id
 */
export function shortId(id) {
  return `${id.slice(0, 8)}…${id.slice(-4)}`;
}

/**
 * A `datetime-local` field's value for a time; empty for none.
 * @param {string} iso
 */
export function fieldValueOf(iso) {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/**
 * The time that a `datetime-local` field holds.
 * @param {string} value
 */
export function timeOfField(value) {
  return value ? new Date(value).toISOString() : null;
}

/**
 * An alert's or error's name without its underscores.
 * @param {string} name
 */
export function sentenceCase(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
