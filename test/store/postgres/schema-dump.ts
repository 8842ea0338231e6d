/** What a schema holds, read from the catalog and written as text that is the same on every supported Postgres. */

import type { Client } from 'pg';

interface Line {
  readonly line: string;
}

/** Tables, columns, constraints, indexes, types, functions, comments, and the rows of `migration`. */
export async function dumpSchema(client: Client, schema: string): Promise<string> {
  const sections: string[] = [];
  for (const [title, query] of Object.entries(QUERIES)) {
    const { rows } = await client.query<Line>(query, [schema]);
    sections.push(`-- ${title}\n${rows.map(({ line }) => `${line}\n`).join('')}`);
  }
  return sections.join('\n');
}

const TABLES = `pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = $1`;

const QUERIES = {
  'relations: name, kind, persistence, row security': `
    select format('%I %s %s %s', c.relname, c.relkind, c.relpersistence, c.relrowsecurity) as line
    from ${TABLES} order by c.relname collate "C"`,
  types: `
    select format('%I enum (%s)', t.typname, string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)) as line
    from pg_type t join pg_namespace n on n.oid = t.typnamespace and n.nspname = $1 join pg_enum e on e.enumtypid = t.oid
    group by t.typname order by t.typname collate "C"`,
  domains: `
    select format('%I %s %s', t.typname, format_type(t.typbasetype, t.typtypmod), pg_get_constraintdef(k.oid)) as line
    from pg_type t join pg_namespace n on n.oid = t.typnamespace and n.nspname = $1
    left join pg_constraint k on k.contypid = t.oid
    where t.typtype = 'd' order by t.typname collate "C", k.conname collate "C"`,
  'columns, in their order': `
    select format('%I.%I %s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
      case when a.attnotnull then ' not null' else '' end,
      coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')) as line
    from ${TABLES} join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relkind = 'r' order by c.relname collate "C", a.attnum`,
  // Postgres 18 lists NOT NULL among them; the columns say it already.
  constraints: `
    select format('%I.%I %s', c.relname, k.conname, pg_get_constraintdef(k.oid)) as line
    from ${TABLES} join pg_constraint k on k.conrelid = c.oid and k.contype <> 'n'
    order by c.relname collate "C", k.conname collate "C"`,
  indexes: `
    select pg_get_indexdef(c.oid) as line from ${TABLES} where c.relkind = 'i' order by c.relname collate "C"`,
  'triggers and rules': `
    select format('%I %s', c.relname, t.tgname) as line
    from ${TABLES} join pg_trigger t on t.tgrelid = c.oid and not t.tgisinternal
    union all
    select format('%I %s', c.relname, r.rulename) from ${TABLES} join pg_rewrite r on r.ev_class = c.oid`,
  views: `
    select format('%I %s', c.relname, pg_get_viewdef(c.oid)) as line
    from ${TABLES} where c.relkind = 'v' order by c.relname collate "C"`,
  functions: `
    select rtrim(pg_get_functiondef(p.oid), E'\\n') || ';' as line
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace and n.nspname = $1
    order by p.proname collate "C", pg_get_function_identity_arguments(p.oid) collate "C"`,
  comments: `
    select format('%s: %s', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description) as line
    from pg_description d
    where (d.classoid = 'pg_class'::regclass and d.objoid in (select c.oid from ${TABLES}))
      or (d.classoid = 'pg_proc'::regclass
        and d.objoid in (select p.oid from pg_proc p join pg_namespace n on n.oid = p.pronamespace and n.nspname = $1))
    order by 1`,
} satisfies Record<string, string>;
