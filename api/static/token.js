// The bearer token: stored in this tab only, and sent with every request of the page.

const KEY = "bayes_clv_token";

export function remember(token) {
  sessionStorage.setItem(KEY, token);
}

export function headers() {
  const token = sessionStorage.getItem(KEY);
  return token ? { Authorization: `Bearer ${token}` } : {};
}
