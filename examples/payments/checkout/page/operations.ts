/** What the page asks of the API. */

import { gql } from '@apollo/client';
import type { TypedDocumentNode } from '@apollo/client';

export interface Charged {
  readonly charge: { readonly id: string; readonly amountCents: number; readonly reference: string | null };
}

export interface ChargeVariables {
  readonly input: { readonly amountCents: number; readonly currency: string; readonly reference: string };
}

export interface Account {
  readonly balance: number;
  readonly payments: readonly { readonly id: string; readonly reference: string | null }[];
}

export const CHARGE: TypedDocumentNode<Charged, ChargeVariables> = gql`
  mutation Charge($input: ChargeInput!) {
    charge(input: $input) {
      id
      amountCents
      reference
    }
  }
`;

export const ACCOUNT: TypedDocumentNode<Account, Record<string, never>> = gql`
  query Account {
    balance
    payments {
      id
      reference
    }
  }
`;
