/** The checkout page, and its switches for trouble, for `/checkout`. */

import express from 'express';
import type { Router } from 'express';
import { servePage } from './serve-page.ts';
import { troubleSwitches } from './trouble-switches.ts';

export const checkout: Router = express.Router();

checkout.use((_, response, next) => {
  response.set({
    'content-security-policy': "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    'x-content-type-options': 'nosniff',
  });
  next();
});

checkout.use('/trouble', troubleSwitches);

checkout.use(servePage);

checkout.use((_, response) => void response.status(404).type('text').send('There is no such file.\n'));
