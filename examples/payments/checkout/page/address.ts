/** Who pays for which cart: what the address says, so that a reload and a second tab are about the same. */

export interface Address {
  readonly user: string;
  readonly cart: string;
}

/** Whoever comes without a name gets one, and keeps it in this browser. A header must be able to carry it. */
export function readAddress(): Address {
  const search = new URLSearchParams(location.search);
  const user = search.get('user') || (localStorage.getItem('checkout-user') ?? randomName('guest'));
  if (!search.get('user')) localStorage.setItem('checkout-user', user);
  return show({
    user: user.replaceAll(/[^\x21-\x7e]/g, '-'),
    cart: search.get('cart') || randomName('cart'),
  });
}

/** The same user with a new cart. */
export function withNewCart({ user }: Address): Address {
  return show({ user, cart: randomName('cart') });
}

function show(address: Address): Address {
  history.replaceState(null, '', `?${new URLSearchParams({ ...address }).toString()}`);
  return address;
}

function randomName(kind: string): string {
  const [number = 0] = crypto.getRandomValues(new Uint32Array(1));
  return `${kind}-${number.toString(36)}`;
}
