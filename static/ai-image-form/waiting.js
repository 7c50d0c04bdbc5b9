// When a refused submission may be tried again, in words.
import { fill } from "./texts.js";

const DAY = 24 * 3600;

/** The sentence that says when, as of now; null when it is time. */
export function whenAgain(until, texts, language) {
  const seconds = Math.ceil((until - Date.now()) / 1000);
  if (seconds <= 0) return null;
  if (seconds > DAY) {
    // Budgets renew at midnight UTC: the day must not become the one before in the west.
    const day = new Intl.DateTimeFormat(language, { day: "numeric", month: "long", timeZone: "UTC" });
    return fill(texts.againOn, { day: day.format(until) });
  }
  const time = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return fill(texts.againAt, { time: time.format(until), countdown: countdown(seconds, language) });
}

function countdown(seconds, language) {
  const words = new Intl.RelativeTimeFormat(language);
  if (seconds < 60) return words.format(seconds, "second");
  if (seconds < 3600) return words.format(Math.ceil(seconds / 60), "minute");
  return words.format(Math.round(seconds / 3600), "hour");
}
