/** Where `prisma generate` finds the models. */

import { defineConfig } from 'prisma/config';

// oxlint-disable-next-line import/no-default-export -- Prisma reads its configuration so
export default defineConfig({ schema: 'prisma/schema.prisma' });
