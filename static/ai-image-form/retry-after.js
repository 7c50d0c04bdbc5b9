// When a refused submission may be tried again, in words.
import { fill } from "./texts.js";

/** @import { AiImageFormTexts } from "../ai-image-form.d.ts" */

const DAY_SECONDS = 24 * 3600;

/**
 * The sentence that says when, as of now; null when it is time.
 * @param {number} until milliseconds since the epoch
 * @param {AiImageFormTexts} texts
 * @param {string|undefined} language a BCP 47 tag; undefined for the browser's
 */
export function retryAfterText(until, texts, language) {
  const seconds = Math.ceil((until - Date.now()) / 1000);
  if (seconds <= 0) return null;
  if (seconds > DAY_SECONDS) {
    // Budgets renew at midnight UTC: the day must not become the one before in the west.
    const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "long", timeZone: "UTC" });
    return fill(texts.againOn, { day: day.format(until) });
  }
  const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return fill(texts.againAt, { time: time.format(until), countdown: countdown(seconds, language) });
}

/**
 * @param {number} seconds
 * @param {string|undefined} language
 */
function countdown(seconds, language) {
  const format = new Intl.RelativeTimeFormat(language);
  if (seconds < 60) return format.format(seconds, "second");
  if (seconds < 3600) return format.format(Math.ceil(seconds / 60), "minute");
  return format.format(Math.round(seconds / 3600), "hour");
}
