/** Starts the page: sends again what was left open, and shows the checkout at once. */

import { ApolloProvider } from '@apollo/client/react';
import { createRoot } from 'react-dom/client';
import { readAddress } from './address.ts';
import { CheckoutPage } from './checkout-page.tsx';
import { connect } from './client.ts';
import { resumeAll } from './resumed.ts';

const address = readAddress();
const connection = connect(address.user);
const resumption = await resumeAll(connection);

createRoot(document.querySelector('#page')!).render(
  <ApolloProvider client={connection.client}>
    <CheckoutPage address={address} timeline={connection.timeline} resumption={resumption} />
  </ApolloProvider>,
);
