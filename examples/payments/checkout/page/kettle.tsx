/** A picture of what is sold. */

import type { ReactElement } from 'react';

export function Kettle(): ReactElement {
  return (
    <svg className="picture" viewBox="0 0 64 64" width="64" height="64" aria-hidden="true">
      <rect width="64" height="64" rx="14" className="picture-ground" />
      <path d="M20 29c0-17 25-17 25 0" fill="none" strokeWidth="3.4" className="picture-line" />
      <path d="M17 32 8.500 27.500c-1.500-.8-2.800 1.200-1.600 2.400L17 42Z" className="picture-body" />
      <path
        d="M19 29h27c3.500 6 5.500 12 5.500 17.500 0 3-2 4.500-5 4.500h-28c-3 0-5-1.500-5-4.500C13.500 41 15.500 35 19 29Z"
        className="picture-body"
      />
      <path d="M22 29c1.500-4 5.500-6 10.500-6S41.500 25 43 29Z" className="picture-lid" />
      <circle cx="32.500" cy="21" r="2.600" className="picture-lid" />
      <path
        d="M21 36c-1.600 3.500-2.200 6.500-2.200 10"
        fill="none"
        strokeWidth="2.400"
        strokeLinecap="round"
        className="picture-shine"
      />
    </svg>
  );
}
