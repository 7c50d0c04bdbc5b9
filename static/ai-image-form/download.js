// How a picture gets from its address into a folder. A page may only save what comes from its own origin; elsewhere the
// server must ask for it, which Supabase's public URLs do when told by `download`.

const SUPABASE = "/storage/v1/object/public/";

/** The gateway's stable URLs of private pictures lead elsewhere, where `download` means nothing. */
const REDIRECTED = "/api/ai-images/";

/**
 * Whether a click on a link can save the picture; otherwise it only opens.
 * @param {string} url
 */
export function isDownloadable(url) {
  const { origin, pathname } = new URL(url, location.href);
  return pathname.includes(SUPABASE) || (origin === location.origin && !pathname.startsWith(REDIRECTED));
}

/**
 * Where the link that saves must lead.
 * @param {string} url
 * @param {string} name the file's
 */
export function downloadUrl(url, name) {
  const target = new URL(url, location.href);
  const isElsewhere = target.origin !== location.origin;
  if (isElsewhere && target.pathname.includes(SUPABASE)) target.searchParams.set("download", name);
  return target.href;
}

/**
 * A file name that says what is in the picture and that every system takes.
 * @param {{ product: string, brand: string, storageKey: string|null }} body
 */
export function fileName({ product, brand, storageKey }) {
  const extension = /\.(\w{2,5})$/.exec(storageKey ?? "")?.[1] ?? "png";
  const words = `${product} ${brand}`.normalize("NFKC").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return `${words.slice(0, 80) || "image"}.${extension}`;
}
