// What the form says. Each can be replaced through the element's `texts` property; {names} in braces are filled in.

/** @type {import("../ai-image-form.d.ts").AiImageFormTexts} */
export const TEXTS = {
  title: "AI-Powered Image Generation",
  intro: "Tell us about your product and brand, and our AI will generate a custom image for your campaign.",
  product: "Product",
  productPlaceholder: "e.g., Running Shoes, Coffee Maker, CRM Software",
  productHint: "What product or service are you advertising?",
  productMissing: "Please enter a product or service.",
  brand: "Your Brand",
  brandPlaceholder: "e.g., Nike, Starbucks, Salesforce",
  brandHint: "What's your brand or company name?",
  brandMissing: "Please enter a brand or company.",
  organization: "Organization",
  organizationHint: "You belong to several organizations: who is this image for?",
  organizationPlaceholder: "Choose an organization",
  organizationMissing: "Please choose an organization.",
  required: "Please fill in both Product and Brand fields",
  tooLong: "Use at most {most} characters (now {length}).",
  generate: "Generate image",
  examples: "Or try one of these:",
  submitting: "Submitting…",
  pending: "Request submitted",
  pendingIntro: "Your request is safe with us and starts in a moment.",
  processing: "Generating your image",
  processingIntro: "Our AI is creating a custom image for {product} by {brand}.",
  leave: "You can start another meanwhile, or come back later: it goes on without you.",
  waiting: "Waiting to start",
  progress: "{percent} %",
  seconds: "{seconds} s",
  minutes: "{minutes} min {seconds} s",
  usually: "usually about {duration}",
  usuallyUnknown: "This typically takes 30–60 seconds.",
  left: "{duration} left",
  longer: "This one takes longer than usual.",
  completed: "Image generated successfully!",
  completedIntro: "Your AI-generated image is ready and has been added to your asset library.",
  alt: "{product} – {brand}",
  pictureMissing: "The picture could not be loaded. Try to open it by itself.",
  download: "Download image",
  open: "Open image",
  another: "Generate another",
  again: "Same again",
  cancel: "Cancel",
  canceling: "Canceling…",
  canceled: "Canceled",
  canceledIntro: "{product} – {brand} was canceled.",
  cancelProblem: "It could not be canceled. Please try again.",
  failed: "Image generation failed",
  failedIntro: "{product} – {brand}",
  retry: "Try again",
  edit: "Change the details",
  offline: "You are offline.",
  offlineSubmitting: "You are offline. We will keep trying for a moment; it will not be submitted twice.",
  offlineRunning: "You are offline. Your image goes on, and you will see it when you are back.",
  reconnecting: "Reconnecting… Your image goes on meanwhile.",
  limitReached: "You have used all {quota} images of this hour.",
  budgetSpent: "Your organization's budget for this month is spent.",
  unreachable: "We could not be reached. Please check your connection and try again: it will not be submitted twice.",
  signedOut: "Please sign in to generate images.",
  againAt: "You can submit again at {time} ({countdown}).",
  againOn: "You can submit again on {day}.",
  requestMissing: "This request was not found. It may be another account's, or its link is incomplete. You can start a new one here.",
  recent: "Recent requests",
  recentRunning: "{name}, {percent} %",
  recentPending: "{name}, waiting to start",
  recentFailed: "{name}, failed",
  recentCanceled: "{name}, canceled",
  announceCanceled: "{name}: canceled.",
  announceDone: "{name}: image generated successfully.",
  announceFailed: "{name}: image generation failed.",
};

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/**
 * The sentence with its {names} replaced; a name without a value stays, so that a slip in a translation shows.
 * @param {string} template
 * @param {Record<string, string|number>} values
 */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (found, /** @type {string} */ name) => isolated(String(values[name] ?? found)));
}

/**
 * A right-to-left value keeps its direction to itself, or it would turn the sentence around.
 * @param {string} value
 */
function isolated(value) {
  return RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value;
}
