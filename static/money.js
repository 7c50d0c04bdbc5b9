// Amounts of money, as people read them.

/** @typedef {Intl.StringNumericLiteral} Decimal an amount as text, which Intl formats exactly */

/**
 * A format for amounts: in the currency's way where it has a name, else as plain numbers.
 * @param {string|null|undefined} currency its code (ISO 4217)
 * @param {{ language?: string, decimals?: number }} [options] `decimals`: how many at least
 */
export function moneyFormat(currency, { language = "en", decimals } = {}) {
  return new Intl.NumberFormat(language, {
    ...(currency ? { style: "currency", currency } : { minimumFractionDigits: 2 }),
    ...(decimals === undefined ? {} : { minimumFractionDigits: decimals }),
    maximumFractionDigits: Math.max(4, decimals ?? 0), // pictures cost fractions of a cent
  });
}
