"""The default word lists: what speaks for a domain, and what asks for work.

A *term* belongs to its field and hardly anywhere else; one is a hit. A *hint* belongs to its field and to
others as well; two of them are a hit. English terms match whole words in any case, with a plural `s` or `es`;
a term with a space is a phrase. Terms in Chinese characters match wherever they stand, since Chinese does not
mark words.

The lists were written from general knowledge of the fields. Where they were checked against data, it was the
development half of `tests/bench/classifier_quality.py` alone.
"""


def _terms(text: str) -> tuple[str, ...]:
    """Split a list at commas and newlines."""
    terms = (term.strip() for line in text.splitlines() for term in line.split(","))
    return tuple(dict.fromkeys(term for term in terms if term))


CODE_TERMS = _terms("""
    python, javascript, typescript, golang, rustc, kotlin, haskell, scala, erlang, elixir, fortran, cobol
    lua, bash, powershell, sql, mysql, postgres, postgresql, sqlite, mongodb, redis, kafka, rabbitmq
    elasticsearch, graphql, nosql, html, css, json, yaml, xml, csv, regex, regexp, numpy, pandas, pytorch
    tensorflow, sklearn, django, fastapi, nodejs, npm, webpack, docker, dockerfile, kubernetes, kubectl
    k8s, terraform, ansible, nginx, linux, unix, ubuntu, github, gitlab, jenkins, api, sdk, url, http
    https, tcp, udp, dns, ssh, tls, ssl, oauth, jwt, webassembly, wasm, opengl, cuda, llvm, gcc, cmake
    makefile, localhost, stdin, stdout, stderr, async, await, const, struct, enum, boolean, int, uint
    nullptr, null pointer, malloc, typedef, println, printf, integer overflow, algorithm, subroutine
    source code, pseudocode, codebase, refactor, refactoring, debug, debugger, debugging, debugged
    compiler, compile, compiled, compiling, decompiler, bytecode, assembler, stack trace, stacktrace
    traceback, segfault, runtime error, syntax error, unit test, test case, recursion, recursive function
    data structure, linked list, hash table, hash map, hashmap, hashing, hash function, binary tree
    binary search, search tree, priority queue, breadth-first, depth-first, big o, time complexity
    space complexity, np-hard, np-complete, polynomial time, turing machine, finite automaton, automata
    context-free grammar, regular expression, regular language, halting problem, dijkstra, quicksort
    mergesort, heapsort, sorting algorithm, insertion sort, merge sort, quick sort, bubble sort
    spanning tree, shortest path, directed graph, undirected, acyclic graph, adjacency matrix
    topological sort, dynamic programming, greedy algorithm, backtracking, object-oriented, subclass
    superclass, polymorphism, multithreading, multithreaded, mutex, semaphore, deadlock, concurrency
    race condition, critical section, operating system, kernel mode, virtual memory, page table
    page fault, paging, cache line, cache miss, cache hit, cpu, gpu, microprocessor, processor, pipelining
    instruction set, risc, cisc, opcode, machine code, machine language, assembly language, programming
    programmer, computer program, computer science, software, firmware, flip-flop, two's complement
    floating point, hexadecimal, bytes, kilobyte, megabyte, gigabyte, bitwise, bitmap, lossless
    file system, filesystem, database, primary key, foreign key, normal form, query language
    sql injection, cross-site scripting, xss, csrf, overflow, buffer overflow, memory leak, use after free
    malware, ransomware, spyware, phishing, trojan, keylogger, botnet, firewall, intrusion detection
    denial of service, ddos, backdoor, rootkit, hacker, attacker, cryptography, cryptographic
    cryptosystem, encryption, encrypt, encrypted, decrypt, decryption, plaintext, ciphertext, cipher
    public key, private key, digital signature, certificate authority, rsa, aes, md5, sha1, sha256, sha-1
    nonce, authentication, wpa, wep, wifi, bluetooth, ethernet, ip address, mac address, packet, subnet
    port scanner, nmap, snmp, router, proxy server, web server, web browser, browser, webpage, web page
    server-side, client-side, machine learning, deep learning, neural network, neural net
    supervised learning, unsupervised learning, reinforcement learning, overfit, overfitting, underfit
    underfitting, training set, training data, training error, test error, validation set
    cross-validation, gradient descent, backpropagation, perceptron, svm, support vector, decision tree
    random forest, naive bayes, bayesian network, k-means, nearest neighbor, nearest neighbour
    regularization, batch normalization, convolutional, relu, lstm, word embedding, language model, resnet
    imagenet, classifier, hyperparameter, dimensionality reduction, principal component analysis, pca
    expectation maximization
    c++, c#, f#, #include, #define, def, elif, endif, kwargs, argv, stdlib, iostream, my code, this code
    code review
    pull request, this bug, code snippet, write a function, write a program, write a script, in rust, in java
    in golang, in python, leetcode, devops, git commit, git branch, git rebase, merge conflict
    代码, 编程, 源码, 函数, 算法, 数据结构, 数据库, 编译, 线程, 协程, 死锁, 数组, 链表, 指针, 递归, 二叉树
    哈希, 正则表达式, 报错, 异常处理, 堆栈, 内存泄漏, 脚本, 前端, 后端, 服务器, 容器化, 缓存, 消息队列
    并发, 异步, 调试, 重构, 命令行, 操作系统, 时间复杂度, 空间复杂度, 爬虫, 机器学习, 深度学习, 神经网络
    过拟合, 梯度下降, 加密, 解密, 防火墙, 软件, 开源, 面向对象, 微服务
""")

CODE_HINTS = _terms("""
    code, coding, function, method, class, variable, array, string, integer, list, stack, queue, heap
    tree, graph, node, pointer, loop, iteration, iterate, recursive, recursively, script, file, byte, bit
    binary, input, output, memory, cache, disk, buffer, kernel, thread, server, client, network, protocol
    web, internet, online, computer, computing, digital, data, dataset, program, hardware, user, password
    login, key, react, angular, flask, hash, hashed, secure, vulnerability, vulnerabilities, exploit, hack
    bug, error, log, query, cookie, website, sort, sorted, sorting, sequence, pixel, compression
    compress, encode, encoding, decode, interpreter, vue, parse, parser, syntax, token, grammar, automaton
    statement, expression, operation, functional, execute, execution, executed, runtime, return, returns
    print, parameter, argument, module, library, package, install, deploy, architecture, bandwidth
    latency, throughput, clock, register, instruction, inheritance, integrity, layer, model
    training, feature, regression, classification, clustering, gradient, bayesian, gaussian, variance
    weights, vector, matrix, optimization, convex, neural, learning rate, learner, likelihood, estimator
    traversal, vertex, vertices, edge, shortest, bipartite, acyclic, subset, decimal, digit, rust, java
    swift, go
    import, var, null, args, self, bugfix, crash, crashes, frontend, backend, endpoint, timeout, git, app
    接口, 程序, 系统, 网络, 网站, 文件, 字符串, 参数, 变量, 循环, 对象, 实现, 测试, 日志, 查询, 运行, 配置
    模块, 性能, 内存, 进程, 部署, 框架, 索引
""")

MEDICAL_TERMS = _terms("""
    patient, physician, clinician, surgeon, surgery, surgical, nursing, hospitalized, clinic, clinical
    emergency department, emergency room, intensive care, outpatient, inpatient, medical, medication
    prescribed, dosage, mg/kg, mg/dl, mm hg, mmhg, intravenous, intramuscular, subcutaneous, iv fluids
    diagnosis, diagnose, diagnosed, diagnostic, prognosis, symptom, asymptomatic, symptomatic, syndrome
    disease, chemotherapy, radiotherapy, pharmacotherapy, antibiotic, antiviral, antifungal, vaccine
    vaccination, vaccinated, immunization, anesthesia, anaesthesia, analgesic, opioid, morphine, aspirin
    ibuprofen, paracetamol, acetaminophen, penicillin, insulin, heparin, warfarin, statin, metformin
    steroid, corticosteroid, prednisone, diuretic, beta blocker, ace inhibitor, contraindicated
    contraindication, side effect, adverse effect, blood pressure, heart rate, pulse, respirations
    respiratory, systolic, diastolic, auscultation, palpation, vital signs, physical examination
    tenderness, swelling, edema, oedema, erythema, rash, lesion, ulcer, fever, febrile, nausea, vomiting
    diarrhea, diarrhoea, constipation, cough, coughing, sneezing, dyspnea, shortness of breath, wheezing
    chest pain, abdominal pain, back pain, headache, migraine, dizziness, fatigue, numbness, paralysis
    paresis, palsy, epilepsy, tremor, stroke, ischemia, ischemic, infarction, myocardial, cardiac
    cardiovascular, coronary, angina, arrhythmia, tachycardia, bradycardia, fibrillation, atrial
    ventricular, ventricle, atrium, aorta, aortic, carotid, jugular, artery, arteries, vein, venous
    arterial, capillary, hypertension, hypotension, hypertensive, murmur, ecg, ekg, electrocardiogram, mri
    ct scan, ultrasonography, ultrasound, biopsy, endoscopy, colonoscopy, catheter, cannula, stent, suture
    transfusion, transplant, dialysis, cpr, defibrillation, resuscitation, intubation, anemia, anaemia
    hemoglobin, haemoglobin, hematocrit, leukocyte, platelet, erythrocyte, blood cell, leukemia, leukaemia
    lymphoma, carcinoma, sarcoma, melanoma, tumor, tumour, malignant, malignancy, benign, metastasis
    metastatic, cancer, oncology, diabetes, diabetic, mellitus, hyperglycemia, hypoglycemia, obesity
    obese, bmi, hypothyroidism, hyperthyroidism, thyroid, adrenal, pancreas, pancreatic, pancreatitis
    liver, hepatic, hepatitis, cirrhosis, jaundice, bile, bilirubin, gallbladder, spleen, kidney, renal
    nephron, glomerular, ureter, urethra, bladder, urinary, urine, bowel, intestine, intestinal, duodenum
    ileum, rectal, rectum, appendix, appendicitis, esophagus, oesophagus, gastric, gastrointestinal
    abdomen, abdominal, pelvis, pelvic, inguinal, hernia, lung, pulmonary, bronchial, bronchitis, trachea
    pneumonia, asthma, emphysema, tuberculosis, pleural, larynx, pharynx, tonsil, sinusitis, nasal
    tympanic, cornea, optic nerve, cataract, glaucoma, ophthalmic, nerve, cranial nerve, facial nerve
    vagus, spinal cord, brainstem, meningitis, neurologic, neurological, neuropathy, dementia, alzheimer
    parkinson's, sclerosis, autonomic, parasympathetic, bone marrow, femur, femoral, tibia, tibial, fibula
    humerus, ulna, clavicle, scapula, sternum, sternal, vertebra, vertebrae, vertebral, lumbar, cervical
    thoracic, mandible, maxilla, maxillary, cranial, pterygoid, tibialis, tendon, ligament, cartilage
    synovial, joint pain, arthritis, osteoporosis, osteoarthritis, rheumatoid, fracture, sprain, muscle
    skeletal muscle, biceps, triceps, quadriceps, hamstring, gluteal, anterior, posterior, medial, lateral
    distal, proximal, dorsal, ventral, extremity, extremities, forearm, thigh, buttock, groin, palate
    salivary, saliva, dental, gingival, denture, lymph, lymphatic, lymph node, lymphocyte, immune
    immunodeficiency, antibody, antibodies, antigen, autoimmune, allergy, anaphylaxis, inflammation
    inflammatory, infection, infected, bacterial, streptococcus, staphylococcus, e coli, salmonella
    fungal, sepsis, septic, virus, viruses, viral, virology, virion, retrovirus, adenovirus, herpesvirus
    papillomavirus, hpv, hiv, herpes, influenza, measles, mumps, rubella, polio, smallpox, ebola, rabies
    malaria, cholera, dengue, norovirus, chickenpox, rotavirus, coronavirus, covid, covid-19, sars, zika
    pandemic, epidemiology, epidemiological, incubation period, prevalence, morbidity, comorbidity
    pathology, pathological, pathogen, pathogenic, pathogenesis, etiology, aetiology, acute, chronic
    congenital, hereditary disorder, genetic disorder, autosomal, x-linked, trisomy, karyotype
    down syndrome, cystic fibrosis, sickle cell, hemophilia, haemophilia, huntington, muscular dystrophy
    chromosomal, pregnancy, pregnant woman, gestation, gestational, foetus, fetal, neonatal, placenta
    uterus, uterine, ovary, ovarian, cervix, vaginal, menstrual, menopause, postmenopausal, estrogen
    oestrogen, progesterone, prostate, testicular, breastfeeding, midwife, pediatric, paediatric
    geriatric, gerontology, gerontologist, gerontological, older adults, older people, senescence, hospice
    palliative, caregiver, caregiving, psychiatric, antidepressant, antipsychotic, delirium, insomnia
    dietary, dietitian, nutrient, nutrition, nutritional, vitamin, thiamin, riboflavin, folate, folic acid
    niacin, iron deficiency, deficiency, malnutrition, undernutrition, carbohydrate, lipid, fatty acid
    saturated fat, cholesterol, ldl, hdl, triglyceride, energy intake, food intake, metabolic, metabolism
    glycogen, glycolysis, gluconeogenesis, lactate, creatine, phosphocreatine, glucose, serum, creatinine
    urea, electrolyte, albumin, amylase, hormone, cortisol, epinephrine, adrenergic, cholinergic, agonist
    stem cell, histology, epithelium, epithelial, tissue damage, mucosa, mucosal, pressure ulcer, bleeding
    hemorrhage, haemorrhage, thrombosis, embolism, aneurysm, trauma, pain relief, dose, overdose, toxicity
    antidote, sphincter, excretion, expiratory, inspiratory, spirometry, ventilation, oximetry
    catheterization, sterile
    症状, 患者, 病人, 诊断, 治疗, 药物, 用药, 服药, 剂量, 手术, 血压, 血糖, 糖尿病, 癌症, 肿瘤, 化疗, 放疗
    感染, 病毒, 细菌, 疫苗, 抗生素, 临床, 医院, 医生, 医学, 处方, 副作用, 不良反应, 过敏, 心脏, 心电图
    心绞痛, 肺炎, 肺部, 炎症, 发烧, 发热, 咳嗽, 头痛, 头晕, 胸痛, 腹痛, 腹泻, 恶心, 呕吐, 肝炎, 肝脏, 肾脏
    胃炎, 骨折, 血液, 血常规, 贫血, 怀孕, 孕妇, 妊娠, 胎儿, 儿科, 急诊, 住院, 病史, 病理, 并发症, 中药
    西药, 阿司匹林, 胰岛素, 体检
""")

MEDICAL_HINTS = _terms("""
    blood, heart, brain, bone, skin, chest, neck, ear, nose, throat, mouth, lips, leg, knee, nurse
    medicine, illness, shoulder, wrist, elbow, ankle, hip, finger, thumb, spine, stomach, organ, tissue
    cell, gland, fluid, hospital, therapy, oxygen, breathing, breath, pain, painful, injury, treatment
    treated, drug, health, healthy, healthcare, prescription, diet, food, fat, protein, enzyme, acid
    amino, gene, genetic, dna, rna, genome, therapeutic, plasma, shock, placebo, chromosome, mutation
    allele, aging, ageing, older, elderly, longevity, life expectancy, schizophrenia, lifespan, mortality
    baby, infant, pregnant, birth, sexual, exercise, sleep, temperature, sweat, bacteria, bacterium
    sweating, examination, abnormality, abnormalities, abnormal, history of, year-old, phenotype, retina
    cerebellum, mg, ml, kg, cm, fda, complication, disorder, mild, moderate, severe, intermittent, onset
    pituitary, dopamine, serotonin, stimulus, sensation, sensory, motor, secretion, absorption
    concentration, depression, anxiety, stress, smoking, smoked, cigarettes, alcohol, alcoholic, salt
    sodium, potassium, calcium, iron, zinc, iodine, intake, calorie, appetite, eating, memory loss, reflex
    contraction, flexion, membrane, duct, valve, testosterone, fetus, wound, fibre, fiber, outbreak
    epidemic, screening, hereditary, x-ray, immunity, allergic, infectious, teeth, tooth, tongue, seizure
    psychiatrist, cerebral, hygiene, incidence, inherited disease, donor, superficial, radius, colon, ward
    健康, 身体, 疼痛, 饮食, 营养, 维生素, 睡眠, 体重, 检查, 免疫, 康复, 护理, 生病
""")

LEGAL_TERMS = _terms("""
    plaintiff, defendant, appellant, appellee, claimant, litigant, prosecutor, prosecution, prosecute
    prosecuted, attorney, lawyer, solicitor, barrister, counsel, paralegal, judge, magistrate, jury, juror
    witness, testify, testifies, testified, testimony, hearsay, cross-examination, cross-examine
    deposition, affidavit, subpoena, admissible, inadmissible, admissibility, probative, impeach
    objection, overruled, objected, lawsuit, litigation, sue, sues, sued, suing, suit, cause of action
    filed, summary judgment, brings an action, judgment, verdict, injunction, enjoin, motion to dismiss
    trial court, retrial, appealed, appellate, court, courtroom, tribunal, international court, icj, icc
    arbitration, arbitrator, jurisdiction, jurisdictional, statute, statutory, statute of limitations
    ordinance, unconstitutional, constitutionality, first amendment, fourth amendment, fifth amendment
    fourteenth amendment, due process, equal protection, commerce clause, establishment clause
    jurisprudence, common law, case law, civil law, criminal law, positive law, rule of law, customary law
    international law, positivism, hart, dworkin, kelsen, legal system, legal, legality, unlawful
    unlawfully, lawfully, precedent, stare decisis, ratio decidendi, vienna convention, un charter
    opinio juris, jus cogens, erga omnes, state responsibility, extradition, sovereign immunity
    diplomatic immunity, contract, contractual, offeree, offeror, promisee, promisor, breach, breached
    damages, specific performance, restitution, rescission, enforceable, unenforceable, parol evidence
    indemnity, indemnify, warranty, covenant, clause, force majeure, tort, tortious, negligence, negligent
    negligently, duty of care, strict liability, liability, liable, proximate cause, battery, assault
    false imprisonment, defamation, defamatory, libel, slander, nuisance, trespass, trespasser
    foreseeable, reasonable person, felony, misdemeanor, murder, manslaughter, homicide, larceny, burglary
    robbery, arson, embezzlement, theft, rape, kidnapping, conspiracy, accomplice, mens rea, actus reus
    malice, guilty, plea, pleaded, convicted, conviction, acquitted, acquittal, sentenced, sentencing
    parole, probation, bail, indicted, indictment, arraignment, probable cause, search warrant, warrant
    warrantless, miranda, suppress, arrested, custody, interrogation, self-incrimination, double jeopardy
    exclusionary rule, deed, conveyed, conveyance, conveys, grantor, grantee, easement, fee simple
    life estate, remainderman, heir, devise, devisee, testator, intestate, probate, estate, landlord
    tenant, tenancy, lease, leased, leasehold, lessee, lessor, sublease, mortgage, mortgagee, mortgagor
    foreclosure, lien, adverse possession, perpetuities, zoning, landowner, bailment, copyright, trademark
    patent infringement, infringement, intellectual property, gdpr, statute of frauds, pursuant, hereby
    notwithstanding, nda, non-disclosure agreement, terms of service, privacy policy, power of attorney
    fiduciary, notary, alimony, child custody, prenuptial, employment law, labor law, labour law
    wrongful termination, petitioner, prevail, geneva conventions, alleging, enforceability
    合同, 法律, 法院, 诉讼, 律师, 条款, 违约, 赔偿, 侵权, 原告, 被告, 刑法, 民法, 宪法, 判决, 仲裁
    知识产权, 专利, 商标, 著作权, 版权, 劳动法, 公司法, 法规, 法条, 合规, 起诉, 上诉, 管辖, 法官, 检察
    公证, 继承, 遗嘱, 离婚, 抚养权, 债权, 债务, 违法, 犯罪, 量刑, 无罪, 有罪, 保密协议, 不可抗力, 司法
    立法
""")

LEGAL_HINTS = _terms("""
    law, right to, action against, act of, agreement, agreed, parties, obligation, duty, claim, lawful
    illegal, illegally, evidence, offer, acceptance, accepted, promise, promised, consent, fraud
    fraudulent, dispute, settlement, penalty, fine, prison, jail, police, officer, victim, suspect
    offense, offence, innocent, guilt, justice, crime, criminal, confession, property, owner, owned
    ownership, possession, land, purchase, purchaser, buyer, seller, sale, sold, paid, payment, loan, debt
    creditor, debtor, insurance, insured, insurer, injured, injury, injuries, accident, driving, driver
    employer, employee, federal, congress, regulation, license, permit, enacted, enforce, arrest, trial
    divorce, enforcement, enforced, valid, invalid, void, notice, hearing, rule, doctrine, provision
    section, treaty, treaties, convention, charter, states, un, defense, defence, self-defense, intent
    intention, intentional, intentionally, privilege, reasonable, unreasonable, excused, charged, alleged
    asserts, denied, granted, entitled, violates, violation, violated, prohibit, prohibits, refused
    recover, dismiss, contractor, manufacturer, defective, parcel, acre, tract, title, thereafter
    provided that, unless, signed, written, executed, delivered, constitution, constitutional, amendment
    legislation, legislature, appeal, ruling, supreme court, consideration, complaint, regulatory, herein
    thereof, sanction, motion, sovereign, sovereignty, compliance, natural law, impeachment, mediation
    antitrust, felonious
    协议, 权利, 义务, 责任, 证据, 规定, 签订, 双方, 甲方, 乙方, 当事人, 条例, 财产, 纠纷
""")

INSTRUCTION_TERMS = _terms("""
    analyze, analyse, explain, compare, contrast, evaluate, assess, critique, justify, prove, derive
    demonstrate, design, architect, implement, optimize, optimise, calculate, compute, determine, refactor
    debug, troubleshoot, diagnose, investigate, propose, recommend, synthesize, find the, summarize
    summarise, outline, draft, rewrite, translate, convert, classify, extract, generate, estimate
    simulate, solve, step by step, in detail, comprehensive, thorough, according to, scenario
    suppose that, thoroughly, pros and cons, trade-off, tradeoff, root cause, edge case, requirements
    respectively, make sure, following format, bullet points, write a, create a, such that, critically
    systematically
    分析, 解释, 比较, 对比, 评估, 评价, 论证, 证明, 推导, 设计, 实现, 优化, 调试, 重构, 排查, 诊断, 规划
    制定, 方案, 总结, 归纳, 概括, 翻译, 改写, 润色, 撰写, 编写, 写一, 写出, 列出, 计算, 求解, 解答, 说明
    阐述, 详细, 逐步, 一步步, 步骤, 优缺点, 利弊, 权衡, 根本原因, 必须, 确保, 审查
""")

INSTRUCTION_HINTS = _terms("""
    both, ensure, must, consider, assume, suppose, exactly, at least, at most, than, therefore, conclude
    infer, identify, describe, discuss, plan, strategy, detailed, analysis, first, second, then, while
    which of these, constraint
    为什么, 如何, 怎么写, 怎么解决, 怎么实现, 不要, 至少, 要求, 格式, 给出, 提供, 首先, 然后, 最后
""")
