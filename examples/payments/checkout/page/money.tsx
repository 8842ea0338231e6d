/** An amount, as people write it. */

import type { ReactElement } from 'react';

const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });

export function Money({ cents }: { readonly cents: number }): ReactElement {
  return <span className="money">{euros.format(cents / 100)}</span>;
}
