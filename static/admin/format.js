// Values as people read them. All times are in UTC, in rows as in charts; pointed at, a time is told in the reader's too.

import { moneyFormat } from "../money.js";

/** @type {string|null} what amounts count, where the operator has named it */
let currency = null;
let amounts = moneyFormat(currency);
const NUMBER = new Intl.NumberFormat("en");
const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZone: "UTC" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const IN_FULL = /** @type {const} */ ({ dateStyle: "medium", timeStyle: "medium" });
const FULL = new Intl.DateTimeFormat("en-GB", { ...IN_FULL, timeZone: "UTC" });
const READERS = new Intl.DateTimeFormat("en-GB", IN_FULL);

const NONE = "–";

/** @import { Decimal } from "../money.js" */

/** @param {string|null} code of ISO 4217 */
export function setCurrency(code) {
  currency = code;
  amounts = moneyFormat(code);
}

/** @param {string|number|null} amount */
export function money(amount) {
  return amount == null ? NONE : amounts.format(/** @type {Decimal} */ (amount));
}

/**
 * Amounts that stand one below the other: all with the decimals of the one that needs most.
 * @param {string[]} column
 */
export function alignedMoney(column) {
  const decimals = column.map((amount) => money(amount).split(".")[1]?.length ?? 0);
  const format = moneyFormat(currency, { decimals: Math.max(0, ...decimals) });
  return column.map((amount) => format.format(/** @type {Decimal} */ (amount)));
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
 * The time of the day in UTC, and the day too unless it is today.
 * @param {string|null} iso
 */
export function clock(iso) {
  if (!iso) return NONE;
  const date = new Date(iso);
  const isToday = dayOf(date) === dayOf(new Date());
  return isToday ? TIME.format(date) : `${DAY.format(date)}, ${TIME.format(date)}`;
}

/**
 * The same, with its zone, where no heading names it.
 * @param {string|null} iso
 */
export function dateTime(iso) {
  return iso ? `${clock(iso)} UTC` : NONE;
}

/**
 * The whole time, in UTC and as the reader's clock has it.
 * @param {string} iso
 */
export function exactTime(iso) {
  const [date, { timeZone }] = [new Date(iso), READERS.resolvedOptions()];
  const own = timeZone === "UTC" ? "" : ` (${READERS.format(date)} in ${timeZone})`;
  return `${FULL.format(date)} UTC${own}`;
}

/** @param {Date} date */
function dayOf(date) {
  return date.toISOString().slice(0, 10);
}

/**
 * “12 min ago”; what is older than a day has its date.
 * @param {string} iso
 */
export function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  if (seconds < 5) return "just now";
  return seconds < 24 * 3600 ? `${duration(Math.round(seconds))} ago` : clock(iso);
}

/**
 * Seconds from submission to the end; null while there is none.
 * @param {{ createdAt: string, completedAt: string|null }} request
 */
export function secondsTaken({ createdAt, completedAt }) {
  return completedAt === null ? null : (Date.parse(completedAt) - Date.parse(createdAt)) / 1000;
}

/** @param {string} iso */
export function secondsSince(iso) {
  return Math.max(0, Math.round((Date.now() - Date.parse(iso)) / 1000));
}

/**
 * Enough of a UUID to tell it from others.
 * @param {string} id
 */
export function shortId(id) {
  return `${id.slice(0, 8)}…${id.slice(-4)}`;
}

/**
 * A `datetime-local` field's value, in UTC, for a time; empty for none.
 * @param {string} iso
 */
export function fieldValueOf(iso) {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().slice(0, 16);
}

/**
 * The time that a `datetime-local` field holds, in UTC.
 * @param {string} value
 */
export function timeOfField(value) {
  return value ? new Date(`${value}Z`).toISOString() : null;
}

/**
 * An alert's or error's name without its underscores.
 * @param {string} name
 */
export function sentenceCase(name) {
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
